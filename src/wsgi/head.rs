//! The arguments of `start_response`, checked and turned into the lines of a head.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::http1::is_tchar;

/// Status and fields of a response, in the bytes of the wire.
#[derive(Debug, Default)]
pub(super) struct ApplicationHead {
    /// The status, then the field lines, each with its CR LF.
    text: Vec<u8>,
    status_end: usize,
    pub(super) code: u16,
    pub(super) content_length: Option<u64>,
    pub(super) has_date: bool,
    pub(super) has_server: bool,
    /// Whether the application asks for the end of the connection.
    pub(super) closes: bool,
}

impl ApplicationHead {
    /// The status code and the reason phrase.
    pub(super) fn status(&self) -> &[u8] {
        &self.text[..self.status_end]
    }

    /// The field lines.
    pub(super) fn fields(&self) -> &[u8] {
        &self.text[self.status_end..]
    }

    /// A head of the server's own, with `Content-Type: text/plain`.
    pub(super) fn plain(code: u16, status: &str) -> Self {
        let text = format!("{status}Content-Type: text/plain; charset=utf-8\r\n").into_bytes();
        Self { text, status_end: status.len(), code, ..Self::default() }
    }

    /// As [`Self::plain`] for a request that the client may send again in a second.
    pub(super) fn unavailable() -> Self {
        let mut head = Self::plain(503, "503 Service Unavailable");
        head.text.extend_from_slice(b"Retry-After: 1\r\n");
        head
    }

    /// Whether a response with this status has no body (RFC 9110 §15).
    pub(super) fn is_bodiless(&self) -> bool {
        matches!(self.code, 204 | 304)
    }

    /// Checks the arguments.
    ///
    /// # Errors
    /// `TypeError` and `ValueError`, with one line that says what is wrong.
    pub(super) fn read(status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut head = Self { text: Vec::with_capacity(256), ..Self::default() };
        head.read_status(status)?;
        let headers = headers
            .cast::<PyList>()
            .map_err(|_| PyTypeError::new_err(format!("headers must be a list, not {}", kind(headers))))?;
        for item in headers.iter() {
            head.read_field(&item)?;
        }
        Ok(head)
    }

    fn read_status(&mut self, status: &Bound<'_, PyAny>) -> PyResult<()> {
        let status = status
            .cast::<PyString>()
            .map_err(|_| PyTypeError::new_err(format!("status must be a str, not {}", kind(status))))?;
        push_latin1(status, "status", &mut self.text)?;
        self.status_end = self.text.len();
        let wrong = |what: &str| PyValueError::new_err(format!("status {status:?} {what}"));
        self.code = match self.text[..] {
            [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..]
                if matches!(rest, [] | [b' ', ..]) =>
            {
                [a, b, c].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'))
            }
            _ => return Err(wrong("is not three digits, a space and a reason")),
        };
        if self.code < 200 {
            return Err(wrong("is not the status of a final response"));
        }
        if has_control(&self.text) {
            return Err(wrong("has control characters"));
        }
        if self.text.len() == 3 {
            // RFC 9112 §4: the space is required also without a reason phrase.
            self.text.push(b' ');
            self.status_end = 4;
        }
        Ok(())
    }

    fn read_field(&mut self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let no_pair = || PyTypeError::new_err(format!("a header must be a tuple of two str, not {item:?}"));
        let pair = item.cast::<PyTuple>().map_err(|_| no_pair())?;
        if pair.len() != 2 {
            return Err(no_pair());
        }
        let name = &*pair.get_borrowed_item(0)?.cast::<PyString>().map_err(|_| no_pair())?;
        let value = &*pair.get_borrowed_item(1)?.cast::<PyString>().map_err(|_| no_pair())?;
        let start = self.text.len();
        push_latin1(name, "the name of a header", &mut self.text)?;
        let colon = self.text.len();
        self.text.extend_from_slice(b": ");
        push_latin1(value, "the value of a header", &mut self.text)?;
        let (name_bytes, value_bytes) = (&self.text[start..colon], &self.text[colon + 2..]);
        if name_bytes.is_empty() || !name_bytes.iter().all(|byte| is_tchar(*byte)) {
            return Err(PyValueError::new_err(format!("{name:?} is not a header name")));
        }
        if has_control(value_bytes) {
            return Err(PyValueError::new_err(format!(
                "the value of {name} has control characters: {value:?}"
            )));
        }
        match SpecialField::of(name_bytes) {
            None => {}
            Some(SpecialField::Date) => self.has_date = true,
            Some(SpecialField::Server) => self.has_server = true,
            Some(SpecialField::HopByHop(field)) => {
                // The server frames the body itself, so nothing is wrong without the field. Applications that pass on the
                // fields of another server have them.
                self.closes |= field == HopByHop::Connection && is_close(value_bytes);
                field.warn(name_bytes);
                self.text.truncate(start);
                return Ok(());
            }
            Some(SpecialField::ContentLength) => {
                let (Some(length), None) = (parse_length(value_bytes), self.content_length) else {
                    return Err(PyValueError::new_err(format!(
                        "Content-Length {value:?} is not a length, or is the second one"
                    )));
                };
                self.content_length = Some(length);
                if self.code == 204 {
                    // RFC 9110 §8.6: a 204 must not have this field.
                    self.text.truncate(start);
                    return Ok(());
                }
            }
        }
        self.text.extend_from_slice(b"\r\n");
        Ok(())
    }
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether a `Connection` field has the option `close`.
fn is_close(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// Fields of the connection, which is the server's (PEP 3333, "Other HTTP Features").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HopByHop {
    Connection,
    KeepAlive,
    TransferEncoding,
    Upgrade,
    Other,
}

impl HopByHop {
    /// Logs that the field is not sent: once in a worker for each of them.
    #[cold]
    fn warn(self, name: &[u8]) {
        static WARNED: AtomicU32 = AtomicU32::new(0);
        let bit = 1 << self as u32;
        if WARNED.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let name = name.escape_ascii();
            log::warn!("the application has set {name}, a field of the server (PEP 3333): it is not sent");
        }
    }
}

/// Fields that the server treats specially.
enum SpecialField {
    Date,
    Server,
    ContentLength,
    HopByHop(HopByHop),
}

impl SpecialField {
    fn of(name: &[u8]) -> Option<Self> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        // The length first: it rules out most fields.
        match name.len() {
            4 if is(b"date") => Some(Self::Date),
            6 if is(b"server") => Some(Self::Server),
            14 if is(b"content-length") => Some(Self::ContentLength),
            2 if is(b"te") => Some(Self::HopByHop(HopByHop::Other)),
            7 if is(b"upgrade") => Some(Self::HopByHop(HopByHop::Upgrade)),
            7 if is(b"trailer") => Some(Self::HopByHop(HopByHop::Other)),
            8 if is(b"trailers") => Some(Self::HopByHop(HopByHop::Other)),
            10 if is(b"connection") => Some(Self::HopByHop(HopByHop::Connection)),
            10 if is(b"keep-alive") => Some(Self::HopByHop(HopByHop::KeepAlive)),
            17 if is(b"transfer-encoding") => Some(Self::HopByHop(HopByHop::TransferEncoding)),
            18 if is(b"proxy-authenticate") => Some(Self::HopByHop(HopByHop::Other)),
            19 if is(b"proxy-authorization") => Some(Self::HopByHop(HopByHop::Other)),
            _ => None,
        }
    }
}

fn kind(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "that".into(), |name| name.to_string())
}

/// Whether there are control characters, which could end a line. A tab is white space (RFC 9110 §5.5).
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f)
}

/// Appends the bytes of a native string (PEP 3333, "Unicode Issues"). Code points above 255 are an error.
fn push_latin1(string: &Bound<'_, PyString>, what: &str, out: &mut Vec<u8>) -> PyResult<()> {
    let text = string.to_str()?;
    if text.is_ascii() {
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    for letter in text.chars() {
        let byte = u8::try_from(u32::from(letter)).map_err(|_| {
            PyValueError::new_err(format!("{what} has a character that is not in latin-1: {string:?}"))
        })?;
        out.push(byte);
    }
    Ok(())
}
