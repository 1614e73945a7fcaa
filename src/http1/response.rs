//! An answer: its status, its fields, its body.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use super::framing::BodyFraming;
use super::status::Status;
use crate::chat::{FileSlice, OutQueue, Producer};

/// What follows the head.
#[derive(Debug)]
pub enum Body {
    /// Bytes in memory. They leave together with the head.
    Bytes(Vec<u8>),
    /// Bytes in memory that several answers share.
    Shared(Arc<[u8]>),
    /// A stretch of a file, sent by the kernel.
    File(FileSlice),
    /// Several stretches, each with bytes before it, and bytes after the last one (multipart/byteranges).
    Parts {
        /// The stretches.
        parts: Vec<Part>,
        /// What stands after them.
        end: Vec<u8>,
    },
    /// What is made while it is sent. Its [`Producer::remaining`] is the length of the body, to the byte.
    Made(Box<dyn Producer>),
}

/// One part of a body in several parts.
#[derive(Debug)]
pub struct Part {
    /// What stands before the stretch.
    pub head: Vec<u8>,
    /// The stretch.
    pub content: FileSlice,
}

impl Body {
    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Bytes(Vec::new())
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Shared(bytes) => bytes.len() as u64,
            Self::File(slice) => slice.len,
            Self::Parts { parts, end } => {
                let part = |part: &Part| part.head.len() as u64 + part.content.len;
                parts.iter().map(part).sum::<u64>() + end.len() as u64
            }
            Self::Made(producer) => producer.remaining(),
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push_to(self, queue: &mut OutQueue) {
        match self {
            Self::Bytes(bytes) => queue.push(&bytes),
            Self::Shared(bytes) => queue.push(&bytes),
            Self::File(slice) => queue.push_file(slice),
            Self::Parts { parts, end } => {
                for part in parts {
                    queue.push(&part.head);
                    queue.push_file(part.content);
                }
                queue.push(&end);
            }
            Self::Made(producer) => queue.push_with_producer(producer),
        }
    }
}

/// An answer. The connection adds `Server`, `Date`, `Connection` and `Content-Length`.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// The field lines so far, each ended by CR LF.
    fields: Vec<u8>,
    /// More field lines, which several answers share.
    shared_fields: Option<Arc<[u8]>>,
    /// What follows the head; not sent for HEAD.
    pub body: Body,
    /// Whether the connection must close after it.
    pub close: bool,
}

impl Response {
    /// An answer without a body.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self { status, fields: Vec::new(), shared_fields: None, body: Body::empty(), close: false }
    }

    /// A small answer that says in plain text what happened. (the seed's `send_error`)
    #[must_use]
    pub fn error(status: Status) -> Self {
        let mut response = Self::new(status);
        response.field("Content-Type", "text/plain; charset=utf-8");
        response.body = Body::Bytes(format!("{status}\n{}\n", status.text()).into_bytes());
        response
    }

    /// Adds a field line. (the seed's `send_header`)
    ///
    /// Bytes that could end the line early are left out: whatever a value was made of, it stays one value.
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

    /// The field lines so far.
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// An answer with field lines that were made before, by [`Response::into_fields`].
    #[must_use]
    pub fn with_shared_fields(status: Status, fields: Arc<[u8]>) -> Self {
        Self { shared_fields: Some(fields), ..Self::new(status) }
    }

    /// The field lines, for answers that are made of them later.
    #[must_use]
    pub fn into_fields(self) -> Arc<[u8]> {
        self.fields.into()
    }
}

/// The head of a response, about to be written: the one writer of heads, for files and applications.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// Code, space and reason phrase.
    pub status: &'a [u8],
    /// The value of `Server`, unless it is among the fields.
    pub server: Option<&'a str>,
    /// The value of `Date`, unless it is among the fields.
    pub date: Option<&'a str>,
    /// Whether the connection persists.
    pub keep_alive: bool,
    /// Field lines, each ended by CR LF, in two parts.
    pub fields: [&'a [u8]; 2],
    /// What has to be said of the body.
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
                push_decimal(length, out);
                out.extend_from_slice(b"\r\n\r\n");
            }
            BodyFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            BodyFraming::None | BodyFraming::UntilClose => out.extend_from_slice(b"\r\n"),
        }
    }
}

impl Response {
    /// Returns the parts of the head that are the response's own.
    pub(super) fn head(&self) -> (&'static [u8], [&[u8]; 2]) {
        let shared = self.shared_fields.as_deref().unwrap_or_default();
        (self.status.code_and_reason().as_bytes(), [&self.fields, shared])
    }
}

/// Writes a number. The machinery of `write!` costs more than all the rest of a head.
pub(super) fn push_decimal(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(decimal(number, &mut [0; 20]));
}

/// The digits of a number.
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

    /// RULES A68: nothing that a value is made of can begin another field.
    #[test]
    fn a_value_stays_one_value() {
        let mut response = Response::new(Status::MOVED_PERMANENTLY);
        response.field("Location", "/a\r\nSet-Cookie: x\0\n\r/");
        assert_eq!(response.fields(), b"Location: /aSet-Cookie: x/\r\n");
    }

    #[test]
    fn numbers() {
        for number in [0, 9, 10, 1024, 99_999, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(number, &mut out);
            assert_eq!(String::from_utf8(out).expect("ASCII"), number.to_string());
        }
    }

    #[test]
    fn heads() {
        let head = ResponseHead {
            status: b"304 Not Modified",
            server: Some("s"),
            date: None,
            keep_alive: true,
            fields: [b"A: b\r\n", b""],
            announced: BodyFraming::None,
        };
        let start = "HTTP/1.1 304 Not Modified\r\nServer: s\r\nConnection: keep-alive\r\nA: b\r\n";
        for (announced, want) in [
            (BodyFraming::None, "\r\n"),
            (BodyFraming::Chunked, "Transfer-Encoding: chunked\r\n\r\n"),
            (BodyFraming::Length(10), "Content-Length: 10\r\n\r\n"),
        ] {
            let mut out = Vec::new();
            ResponseHead { announced, ..head }.write_to(&mut out);
            assert_eq!(String::from_utf8(out).expect("text"), format!("{start}{want}"));
        }
    }
}
