//! A response: status, fields and body, and the writer of its head.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use super::framing::BodyFraming;
use super::status::Status;
use crate::chat::{Chunk, FileSlice, OutQueue, Producer};

/// The body of a response.
#[derive(Debug)]
pub enum Body {
    /// Bytes in memory. They leave together with the head.
    Bytes(Vec<u8>),
    /// Bytes in memory that several responses share.
    Shared(Arc<[u8]>),
    /// A slice of a file, which the kernel sends (sendfile(2)).
    File(FileSlice),
    /// A body that is made while it is sent. [`Producer::remaining`] is its exact length in bytes.
    Made(Box<dyn Producer>),
}

impl From<Chunk> for Body {
    fn from(chunk: Chunk) -> Self {
        match chunk {
            Chunk::Bytes(bytes) => Self::Bytes(bytes),
            Chunk::File(slice) => Self::File(slice),
        }
    }
}

impl Body {
    /// A body of no bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Bytes(Vec::new())
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Shared(bytes) => bytes.len() as u64,
            Self::File(slice) => slice.len,
            Self::Made(producer) => producer.remaining(),
        }
    }

    /// Whether the length is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push_to(self, queue: &mut OutQueue) {
        match self {
            Self::Bytes(bytes) => queue.push(&bytes),
            Self::Shared(bytes) => queue.push(&bytes),
            Self::File(slice) => queue.push_file(slice),
            Self::Made(producer) => queue.push_with_producer(producer),
        }
    }
}

/// A response. The connection adds `Server`, `Date`, `Connection` and `Content-Length`.
#[derive(Debug)]
pub struct Response {
    /// The status (RFC 9110 §15).
    pub status: Status,
    /// Field lines, each with its CR LF.
    fields: Vec<u8>,
    /// Further field lines, which several responses share.
    shared_fields: Option<Arc<[u8]>>,
    /// The body; not sent in response to HEAD.
    pub body: Body,
    /// Whether the connection must close after the response.
    pub close: bool,
}

impl Response {
    /// A response without fields and body.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self { status, fields: Vec::new(), shared_fields: None, body: Body::empty(), close: false }
    }

    /// A response whose body states the error in plain text. (the seed's `send_error`)
    #[must_use]
    pub fn error(status: Status) -> Self {
        let mut response = Self::new(status);
        response.field("Content-Type", "text/plain; charset=utf-8");
        response.body = Body::Bytes(format!("{status}\n{}\n", status.text()).into_bytes());
        response
    }

    /// Adds a field line. (the seed's `send_header`)
    ///
    /// CR, LF and NUL are left out, so that no value can begin another field.
    pub fn field(&mut self, name: &str, value: impl fmt::Display) {
        let start = self.fields.len();
        // Writing into a Vec cannot fail.
        let _ = write!(self.fields, "{name}: {value}");
        let mut at = start;
        while let Some(offset) = self.fields[at..].iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            at += offset;
            self.fields.remove(at);
        }
        self.fields.extend_from_slice(b"\r\n");
    }

    /// Adds field lines, each with its CR LF.
    pub fn field_lines(&mut self, lines: &[u8]) {
        self.fields.extend_from_slice(lines);
    }

    /// Whether a field has this name, in any case of letters.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let is_it = |line: &[u8]| {
            let (this, rest) = line.split_at(name.len().min(line.len()));
            this.eq_ignore_ascii_case(name.as_bytes()) && rest.starts_with(b":")
        };
        self.head().1.iter().any(|lines| lines.split(|byte| *byte == b'\n').any(is_it))
    }

    /// Returns the field lines so far, each with its CR LF.
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// A response with field lines from [`Response::into_fields`].
    #[must_use]
    pub fn with_shared_fields(status: Status, fields: Arc<[u8]>) -> Self {
        Self { shared_fields: Some(fields), ..Self::new(status) }
    }

    /// Returns the field lines, for [`Response::with_shared_fields`].
    #[must_use]
    pub fn into_fields(self) -> Arc<[u8]> {
        self.fields.into()
    }
}

/// The contents of a response's head, for files and applications alike.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// Code, space and reason phrase.
    pub status: &'a [u8],
    /// The value of `Server`, unless the fields have it.
    pub server: Option<&'a str>,
    /// The value of `Date`, unless the fields have it.
    pub date: Option<&'a str>,
    /// Whether the connection persists.
    pub keep_alive: bool,
    /// Field lines, each with its CR LF, in two parts.
    pub fields: [&'a [u8]; 2],
    /// The framing of the body that the head announces.
    pub announced: BodyFraming,
}

impl ResponseHead<'_> {
    /// Appends status line and fields to `out`. (the seed's `send_response`, `end_headers`)
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(256 + self.status.len() + self.fields[0].len() + self.fields[1].len());
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status);
        for (name, value) in [("\r\nServer: ", self.server), ("\r\nDate: ", self.date)] {
            if let Some(value) = value {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(value.as_bytes());
            }
        }
        let connection: &[u8] = match self.keep_alive {
            true => b"\r\nConnection: keep-alive\r\n",
            false => b"\r\nConnection: close\r\n",
        };
        out.extend_from_slice(connection);
        out.extend_from_slice(self.fields[0]);
        out.extend_from_slice(self.fields[1]);
        match self.announced {
            BodyFraming::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                out.extend_from_slice(decimal(length, &mut [0; 20]));
                out.extend_from_slice(b"\r\n\r\n");
            }
            BodyFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            BodyFraming::None | BodyFraming::UntilClose => out.extend_from_slice(b"\r\n"),
        }
    }
}

impl Response {
    /// Returns the status and the field lines of the head, in two parts.
    #[must_use]
    pub fn head(&self) -> (&'static [u8], [&[u8]; 2]) {
        let shared = self.shared_fields.as_deref().unwrap_or_default();
        (self.status.code_and_reason().as_bytes(), [&self.fields, shared])
    }
}

/// Returns the decimal digits of a number. `write!` costs more than the rest of a head.
#[inline]
pub(crate) fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULES A68: no value can begin another field.
    #[test]
    fn a_value_stays_one_value() {
        let mut response = Response::new(Status::MOVED_PERMANENTLY);
        response.field("Location", "/a\r\nSet-Cookie: x\0\n\r/");
        assert_eq!(response.fields(), b"Location: /aSet-Cookie: x/\r\n");
    }

    #[test]
    fn fields_are_found_by_their_names() {
        let mut response = Response::with_shared_fields(Status::OK, b"X-A: b\r\nX-B: X-E: c\r\n"[..].into());
        response.field("X-C", "d");
        response.field_lines(b"X-D: e\r\n");
        assert!(["x-a", "X-B", "x-C", "X-D"].iter().all(|name| response.has(name)));
        assert!(!["X-", "X-E", "X-AB", "X-A: b"].iter().any(|name| response.has(name)));
    }

    #[test]
    fn numbers() {
        for number in [0, 9, 10, 1024, 99_999, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
