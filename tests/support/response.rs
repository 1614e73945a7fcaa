//! A strict parser of answers (RULES A67): every answer of the whole suite is read by it.

use stheno::http1::{Status, is_tchar};

/// One answer.
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
        assert!(all.next().is_none(), "{name} stands twice in {self:?}");
        first
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }

    /// Takes one answer off the front of `bytes`; `None` while it is not all there.
    ///
    /// # Panics
    /// When it is not a valid answer to a request with this method.
    pub fn take(bytes: &mut &[u8], method: &str) -> Option<Self> {
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
        *bytes = &rest[length..];
        Some(response)
    }

    /// Checks the fields that every answer has; says how long the body is.
    fn check(&self, method: &str) -> usize {
        let date = self.field("Date").unwrap_or_else(|| panic!("no Date in {self:?}"));
        httpdate::parse_http_date(date).expect("a date");
        assert!(date.ends_with(" GMT") && date.len() == 29, "not an IMF-fixdate: {date}");
        assert!(self.field("Server").expect("Server").starts_with("stheno"), "{self:?}");
        let connection = self.field("Connection").expect("Connection");
        assert!(["close", "keep-alive"].contains(&connection), "{self:?}");
        assert!(self.field("Transfer-Encoding").is_none(), "{self:?}");
        let length = self.field("Content-Length");
        if [204, 304].contains(&self.status) {
            assert!(length.is_none(), "RFC 9110 8.6: {self:?}");
            return 0;
        }
        let length: usize = length.expect("Content-Length").parse().expect("a number");
        match self.status {
            200 | 206 => assert!(self.field("Content-Type").is_some(), "{self:?}"),
            301 => assert!(self.field("Location").is_some_and(is_absolute_path), "{self:?}"),
            405 | 501 => {}
            416 => assert!(self.field("Content-Range").is_some(), "{self:?}"),
            _ => {}
        }
        if self.status == 206 {
            let multipart = self.field("Content-Type").is_some_and(|t| t.starts_with("multipart/byteranges"));
            assert!(multipart != self.field("Content-Range").is_some(), "RFC 9110 15.3.7: {self:?}");
        }
        if method == "HEAD" { 0 } else { length }
    }
}

fn is_absolute_path(location: &str) -> bool {
    location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\")
}

fn parse_status(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("not a status line: {line:?}"));
    let (code, reason) = rest.split_once(' ').expect("a reason phrase");
    let code: u16 = code.parse().expect("a code");
    let status = Status::ALL.iter().find(|status| status.code() == code);
    assert_eq!(reason, status.expect("a known status").reason(), "{line:?}");
    code
}

fn parse_field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("not a field line: {line:?}"));
    assert!(!name.is_empty() && name.bytes().all(is_tchar), "not a field name: {line:?}");
    assert!(!value.bytes().any(|byte| byte.is_ascii_control()), "a control byte in {line:?}");
    assert_eq!(value, value.trim(), "white space around the value: {line:?}");
    (name.into(), value.into())
}

/// Every answer in `bytes`, which have to end with one.
///
/// # Panics
/// When anything is left over, or stands behind an answer that closes.
pub fn parse_all(mut bytes: &[u8], method: &str) -> Vec<Response> {
    let mut all: Vec<Response> = Vec::new();
    while !bytes.is_empty() {
        assert!(!all.last().is_some_and(Response::closes), "an answer behind a close: {all:?}");
        let response = Response::take(&mut bytes, method);
        let rest = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]);
        all.push(response.unwrap_or_else(|| panic!("an answer that is cut short: {rest}")));
    }
    all
}
