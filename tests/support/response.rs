//! A strict parser of responses (RULES A67), which reads every response of the suite.
//!
//! It shares no code with the server: the rules are written here again, in the words of the RFCs.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The final status codes that the server may send, with their reason phrases (RFC 9110 §15, RFC 6585 §5).
const REASONS: [(u16, &str); 20] = [
    (200, "OK"),
    (204, "No Content"),
    (206, "Partial Content"),
    (301, "Moved Permanently"),
    (304, "Not Modified"),
    (400, "Bad Request"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (408, "Request Timeout"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (416, "Range Not Satisfiable"),
    (417, "Expectation Failed"),
    (431, "Request Header Fields Too Large"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (503, "Service Unavailable"),
    (505, "HTTP Version Not Supported"),
];

/// Statuses after which the connection must close, because the rest of the request is unknown or unwanted.
const CLOSING: [u16; 6] = [408, 413, 414, 417, 431, 505];

static CHECKED: AtomicUsize = AtomicUsize::new(0);

/// The number of valid responses read in this process so far. An invalid one is a panic.
pub fn checked() -> usize {
    CHECKED.load(Ordering::Relaxed)
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the only field with this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut all = self.fields.iter().filter(|(this, _)| this.eq_ignore_ascii_case(name));
        let first = all.next().map(|(_, value)| value.as_str());
        assert!(all.next().is_none(), "{name} occurs twice in {self:?}");
        first
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }

    /// Takes one response off the front of `bytes`; `None` while it is incomplete.
    ///
    /// # Panics
    /// If it is not a valid response to a request with this method.
    pub fn take(bytes: &mut &[u8], method: &str) -> Option<Self> {
        assert_begins(bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..end]).expect("the head is ASCII");
        let mut lines = head.strip_suffix("\r\n\r\n").expect("ends in an empty line").split("\r\n");
        let status = parse_status(lines.next().expect("a status line"));
        let fields: Vec<_> = lines.map(parse_field).collect();
        let mut response = Self { status, fields, body: Vec::new() };
        let length = response.check(method);
        let rest = &bytes[end..];
        if rest.len() < length {
            return None;
        }
        response.body = rest[..length].to_vec();
        response.check_body();
        *bytes = &rest[length..];
        CHECKED.fetch_add(1, Ordering::Relaxed);
        Some(response)
    }

    /// Checks the fields that every response has; returns the length of the body.
    fn check(&self, method: &str) -> usize {
        // The server sends no list over several lines, so a name occurs once.
        self.fields.iter().for_each(|(name, _)| assert!(self.field(name).is_some()));
        let date = self.field("Date").unwrap_or_else(|| panic!("no Date in {self:?}"));
        assert_is_date(date);
        self.field("Last-Modified").into_iter().for_each(assert_is_date);
        assert!(self.field("Server").expect("Server").starts_with("stheno"), "{self:?}");
        let connection = self.field("Connection").expect("Connection");
        assert!(["close", "keep-alive"].contains(&connection), "{self:?}");
        assert!(self.closes() || !CLOSING.contains(&self.status), "must close: {self:?}");
        assert!(self.field("Transfer-Encoding").is_none(), "{self:?}");
        self.check_status();
        let length = self.field("Content-Length");
        if [204, 304].contains(&self.status) {
            assert!(length.is_none(), "RFC 9110 8.6: {self:?}");
            assert!(self.field("Content-Type").is_none(), "of what? {self:?}");
            return 0;
        }
        let length = length.unwrap_or_else(|| panic!("no Content-Length in {self:?}"));
        assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "1*DIGIT: {self:?}");
        let length: usize = length.parse().expect("a number");
        assert!(length == 0 || self.field("Content-Type").is_some(), "no Content-Type in {self:?}");
        if method == "HEAD" { 0 } else { length }
    }

    /// Checks the fields that belong to certain statuses.
    fn check_status(&self) {
        let content_type = self.field("Content-Type");
        let content_range = self.field("Content-Range");
        match self.status {
            200 => assert!(content_type.is_some(), "{self:?}"),
            206 => {
                let multipart = content_type.expect("a type").starts_with("multipart/byteranges; boundary=");
                assert!(multipart != content_range.is_some(), "RFC 9110 15.3.7: {self:?}");
                let range = content_range.and_then(|range| range.strip_prefix("bytes "));
                assert!(multipart || range.is_some_and(is_content_range), "{self:?}");
            }
            301 => assert!(self.field("Location").is_some_and(is_directory_beside), "{self:?}"),
            405 => assert!(self.field("Allow").is_some_and(|allow| allow.contains("GET")), "{self:?}"),
            416 => assert!(content_range.is_some_and(|range| range.starts_with("bytes */")), "{self:?}"),
            _ => {}
        }
        let has = |name| self.field(name).is_some();
        assert!(self.status == 301 || !has("Location"), "{self:?}");
        assert!([206, 416].contains(&self.status) || !has("Content-Range"), "{self:?}");
    }

    /// Checks the body against its head.
    fn check_body(&self) {
        let Some(content_type) = self.field("Content-Type") else {
            return assert!(self.body.is_empty(), "{self:?}");
        };
        if self.status >= 300 && !self.body.is_empty() {
            assert_eq!(content_type, "text/plain; charset=utf-8");
            assert!(self.text().starts_with(&format!("{} {}\n", self.status, reason(self.status))));
        }
        if let Some(boundary) = content_type.strip_prefix("multipart/byteranges; boundary=")
            && !self.body.is_empty()
        {
            assert!(self.body.ends_with(format!("\r\n--{boundary}--\r\n").as_bytes()), "RFC 2046 5.1.1");
        }
    }
}

/// Checks that `bytes` begin like a final response. An unannounced body does not, nor does an interim response,
/// of which the server has none.
///
/// # Panics
/// If they begin otherwise.
pub fn assert_begins(bytes: &[u8]) {
    const VERSION: &[u8] = b"HTTP/1.1 ";
    let common = bytes.len().min(VERSION.len());
    let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
    assert_eq!(bytes[..common], VERSION[..common], "not the beginning of a response: {beginning:?}");
}

fn assert_is_date(date: &str) {
    let time = httpdate::parse_http_date(date).unwrap_or_else(|_| panic!("not a date: {date:?}"));
    assert_eq!(httpdate::fmt_http_date(time), date, "not an IMF-fixdate");
}

/// Whether `location` is `./segment/` and perhaps a query: no scheme and no host, wherever it is resolved.
fn is_directory_beside(location: &str) -> bool {
    let path = location.split('?').next().unwrap_or_default();
    let segment = path.strip_prefix("./").and_then(|rest| rest.strip_suffix('/'));
    let is_one = segment.is_some_and(|segment| !segment.is_empty() && !segment.contains(['/', '\\']));
    is_one && location.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether `range` is `first-last/size`, in order and within the size.
fn is_content_range(range: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    let numbers = range.split_once('/').and_then(|(range, size)| {
        let (first, last) = range.split_once('-')?;
        Some((number(first)?, number(last)?, number(size)?))
    });
    numbers.is_some_and(|(first, last, size)| first <= last && last < size)
}

fn reason(code: u16) -> &'static str {
    let known = REASONS.iter().find(|(known, _)| *known == code);
    known.unwrap_or_else(|| panic!("{code} is not sent here")).1
}

fn parse_status(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("not a status line: {line:?}"));
    let (code, phrase) = rest.split_once(' ').expect("a reason phrase");
    assert!(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()), "{line:?}");
    let code = code.parse().expect("a code");
    assert_eq!(phrase, reason(code), "{line:?}");
    code
}

/// `field-name ":" SP field-value`. The lines were split at CR LF, so any other CR or LF is a control byte
/// here.
fn parse_field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("not a field line: {line:?}"));
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(is_tchar), "not a field name: {line:?}");
    assert!(!value.is_empty() && !value.bytes().any(|byte| byte.is_ascii_control()), "{line:?}");
    assert_eq!(value, value.trim(), "white space around the value: {line:?}");
    (name.into(), value.into())
}

/// Parses all responses in `bytes`, which must end with one.
///
/// # Panics
/// If anything is left over, or follows a response that closes.
pub fn parse_all(bytes: &[u8], method: &str) -> Vec<Response> {
    parse_each(bytes, &[method])
}

/// As [`parse_all`], for requests with these methods in turn; the last one is repeated.
///
/// # Panics
/// As [`parse_all`].
pub fn parse_each(mut bytes: &[u8], methods: &[&str]) -> Vec<Response> {
    let mut all: Vec<Response> = Vec::new();
    while !bytes.is_empty() {
        assert!(!all.last().is_some_and(Response::closes), "a response after a close: {all:?}");
        let method = methods[all.len().min(methods.len() - 1)];
        let response = Response::take(&mut bytes, method);
        let rest = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]);
        all.push(response.unwrap_or_else(|| panic!("a response that is cut short: {rest}")));
    }
    all
}
