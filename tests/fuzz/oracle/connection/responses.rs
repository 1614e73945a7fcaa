//! A strict reader of what the server sends (RFC 9112 §4, §6; RULES A67).

use stheno::http1::{Status, is_tchar};

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SentResponse {
    pub(super) status: u16,
    pub(super) closes: bool,
    pub(super) body: Vec<u8>,
}

/// The fields of one head that are checked.
#[derive(Debug, Default)]
struct SentFields<'a> {
    date: Option<&'a str>,
    server: Option<&'a str>,
    connection: Option<&'a str>,
    content_length: Option<&'a str>,
}

/// Takes one response off the front of `bytes`; `None` while a part of it is missing.
///
/// # Panics
/// If the bytes cannot begin a valid response.
pub(super) fn take_response(bytes: &mut &[u8], to_head: bool) -> Option<SentResponse> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("the head is ASCII");
    let mut lines = head.split("\r\n");
    let status = parse_status(lines.next().expect("a status line"));
    let mut fields = SentFields::default();
    lines.for_each(|line| fields.add(line));
    let length = fields.check(status, head);
    let length = if to_head { 0 } else { length };
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    *bytes = &bytes[end + 4 + length..];
    Some(SentResponse { status, closes: fields.connection == Some("close"), body })
}

fn parse_status(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("not a status line: {line:?}"));
    let (code, reason) = rest.split_once(' ').expect("a reason phrase");
    let known = Status::ALL.iter().find(|status| status.code().to_string() == code);
    let known = known.unwrap_or_else(|| panic!("not a status of this server: {line:?}"));
    assert_eq!(reason, known.reason(), "{line:?}");
    known.code()
}

impl<'a> SentFields<'a> {
    fn add(&mut self, line: &'a str) {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("not a field: {line:?}"));
        assert!(!name.is_empty() && name.bytes().all(is_tchar), "not a name: {line:?}");
        assert!(!value.bytes().any(|byte| byte.is_ascii_control()) && value == value.trim(), "{line:?}");
        let slot = match name.to_ascii_lowercase().as_str() {
            "date" => &mut self.date,
            "server" => &mut self.server,
            "connection" => &mut self.connection,
            "content-length" => &mut self.content_length,
            "transfer-encoding" => panic!("a response in chunks"),
            _ => return,
        };
        assert!(slot.replace(value).is_none(), "twice: {line:?}");
    }

    /// Returns the length of the body in bytes.
    fn check(&self, status: u16, head: &str) -> usize {
        let date = self.date.unwrap_or_else(|| panic!("no Date: {head}"));
        assert!(date.len() == 29 && httpdate::parse_http_date(date).is_ok(), "{date}");
        assert!(self.server.is_some_and(|server| server.starts_with("stheno/")), "{head}");
        assert!(matches!(self.connection, Some("close" | "keep-alive")), "{head}");
        if matches!(status, 204 | 304) {
            assert_eq!(self.content_length, None, "RFC 9110 8.6: {head}");
            return 0;
        }
        let length = self.content_length.unwrap_or_else(|| panic!("no Content-Length: {head}"));
        assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{length:?}");
        length.parse().expect("a number")
    }
}
