//! The head of a request while it is still coming: lengths, counts and line ends, line by line.
//!
//! What is refused here depends on a prefix of the stream alone, so it is the same however the stream is
//! cut: "any split of the bytes gives the same answer". Everything else waits for the whole head.
//!
//! A line end that is none is refused where it stands: whoever sends one need not send the rest, and waiting
//! for it would turn the 400 into a time-out.

use super::error::Error;
use super::grammar::is_tchar;
use super::head::{MAX_FIELDS, request_line, split_line};
use super::settings::Limits;
use crate::chat::{Frame, Terminate};

/// Bytes of a method; one more and no known method can come of it.
const MAX_METHOD: usize = 32;

/// `METHOD SP` and `SP HTTP/1.1` around the target of the longest request line.
const REQUEST_LINE_EXTRA: usize = 64;

/// How far the lines of a head that is still coming have been checked.
///
/// Small: a connection is no larger than the largest of its states. The limits on heads and fields keep the
/// number below 2³², and the count of lines below 2¹⁶.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    line_start: u32,
    lines: u16,
    beginning_checked: bool,
    request_line_checked: bool,
}

/// The terminator of a head: CR LF CR LF, as in the lab, and it refuses early.
#[derive(Debug)]
pub(super) struct HeadEnd<'a> {
    scan: &'a mut HeadScan,
    limits: &'a Limits,
}

impl<'a> HeadEnd<'a> {
    pub(super) fn new(scan: &'a mut HeadScan, limits: &'a Limits) -> Self {
        Self { scan, limits }
    }
}

impl Terminate for HeadEnd<'_> {
    type Error = Error;

    /// A whole head is all data: its parser wants the empty line as well.
    fn find(&mut self, unread: &[u8], searched: &mut usize) -> Result<Frame, Error> {
        let scan = &mut *self.scan;
        if !scan.beginning_checked {
            scan.beginning_checked = check_beginning(unread)?;
        }
        let head = scan.check_lines(unread, searched, self.limits);
        // A whole head is parsed soon enough. One that never becomes whole must not be waited for when its
        // first line is wrong already; and what that line says goes before what is wrong after it.
        if scan.lines > 0 && !scan.request_line_checked && !matches!(head, Ok(Frame::Whole { .. })) {
            scan.request_line_checked = true;
            let (line, _) = split_line(unread).ok_or(Error::RequestLine)?;
            request_line(line, self.limits)?;
        }
        head
    }
}

impl HeadScan {
    /// Checks the lines that have come since the last call, up to the empty one; each byte is looked at once.
    ///
    /// Lengths go before line ends: with fewer bytes here the length would be all there is to see.
    fn check_lines(&mut self, bytes: &[u8], searched: &mut usize, limits: &Limits) -> Result<Frame, Error> {
        while let Some(offset) = memchr::memchr2(b'\r', b'\n', &bytes[*searched..]) {
            let at = *searched + offset;
            match bytes[at..] {
                [b'\r', b'\n', ..] => {
                    *searched = at + 2;
                    if self.end_line(at, limits)? {
                        return Ok(Frame::Whole { data: at + 2, terminator: 0 });
                    }
                }
                // The next byte tells whether it is bare.
                [b'\r'] => {
                    *searched = at;
                    self.check_coming(bytes.len(), limits)?;
                    return Ok(Frame::Part { data: 0 });
                }
                // Seen with the byte after a CR, and with an LF itself.
                [b'\r', ..] => return self.check_coming(at + 2, limits).and(Err(Error::BareLineEnd)),
                _ => return self.check_coming(at, limits).and(Err(Error::BareLineEnd)),
            }
        }
        *searched = bytes.len();
        self.check_coming(bytes.len(), limits)?;
        Ok(Frame::Part { data: 0 })
    }

    /// Ends the line whose CR LF is at `at`; returns whether it is the empty one.
    fn end_line(&mut self, at: usize, limits: &Limits) -> Result<bool, Error> {
        let length = at - self.line_start as usize;
        self.check_length(length, limits)?;
        if at + 2 > limits.head {
            return Err(Error::FieldsTooLarge);
        }
        let is_end = length == 0;
        self.line_start = position(at + 2);
        self.lines = self.lines.saturating_add(1);
        // The request line, the fields, and then only the empty line at the end.
        let most = limits.fields.min(MAX_FIELDS) + 1;
        if usize::from(self.lines) > most && !is_end { Err(Error::FieldsTooLarge) } else { Ok(is_end) }
    }

    /// The line that is still coming when `here` bytes have come; its last byte may be the CR of its end.
    fn check_coming(&self, here: usize, limits: &Limits) -> Result<(), Error> {
        self.check_length((here - self.line_start as usize).saturating_sub(1), limits)?;
        if here > limits.head { Err(Error::FieldsTooLarge) } else { Ok(()) }
    }

    fn check_length(&self, length: usize, limits: &Limits) -> Result<(), Error> {
        match self.lines {
            0 if length > limits.target + REQUEST_LINE_EXTRA => Err(Error::TargetTooLong),
            0 => Ok(()),
            _ if length > limits.field_line => Err(Error::FieldsTooLarge),
            _ => Ok(()),
        }
    }
}

impl HeadScan {
    /// How many field lines the head has, once all of it is here.
    pub(super) fn fields(&self) -> usize {
        usize::from(self.lines).saturating_sub(2)
    }
}

/// A place in a head. One read is no longer than this, and what is held of a head is bounded by its limit.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Whether a request can begin like this, with a method of a bearable length and a space; `false` while that is
/// open. Noise is refused here: it may never come to the end of a line.
fn check_beginning(bytes: &[u8]) -> Result<bool, Error> {
    let method = bytes.iter().take(MAX_METHOD + 1).take_while(|byte| is_tchar(**byte)).count();
    match bytes.get(method) {
        _ if method > MAX_METHOD => Err(Error::MethodTooLong),
        None => Ok(false),
        Some(b' ') if method > 0 => Ok(true),
        Some(b'\r' | b'\n') if method == 0 => Err(Error::BareLineEnd),
        Some(_) if method == 0 => Err(Error::NotHttp),
        Some(_) => Err(Error::RequestLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the scan refuses depends on a prefix of the stream only, so no cut changes it.
    #[test]
    fn limits_are_the_same_at_every_cut() {
        let limits = Limits { target: 20, field_line: 30, head: 200, ..Limits::default() };
        let scan = |input: &[u8], step: usize| {
            let (mut buffer, mut scan) = (crate::chat::InBuffer::new(), HeadScan::default());
            for piece in input.chunks(step) {
                let mut window = buffer.open(piece);
                match window.find(&mut HeadEnd::new(&mut scan, &limits)) {
                    Ok(Frame::Part { .. }) => buffer.close(window),
                    Ok(Frame::Whole { data, .. }) => return Ok(Some(data)),
                    Err(error) => return Err(error),
                }
            }
            Ok(None)
        };
        let long = "x".repeat(300);
        let many = "A: b\r\n".repeat(40);
        for (input, want) in [
            (format!("GET /{long} HTTP/1.1\r\n\r\n"), Err(Error::TargetTooLong)),
            (format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"), Err(Error::FieldsTooLarge)),
            (format!("GET / HTTP/1.1\r\n{many}\r\n"), Err(Error::FieldsTooLarge)),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n".into(), Err(Error::BareLineEnd)),
            ("\n".into(), Err(Error::BareLineEnd)),
            ("\rG".into(), Err(Error::BareLineEnd)),
            ("M".repeat(33), Err(Error::MethodTooLong)),
            (format!("{} / HTTP/1.1\r\n", "M".repeat(40)), Err(Error::MethodTooLong)),
            ("GET /\r\n".into(), Err(Error::RequestLine)),
            ("GET / HTTP/2.0\r\nA: b\n".into(), Err(Error::Version)),
            (format!("GET / HTTP/2.0\r\nA: {long}\r\n\r\n"), Err(Error::Version)),
            ("\x16\x03\x01".into(), Err(Error::NotHttp)),
            ("GET\t/".into(), Err(Error::RequestLine)),
            ("GET / HTTP/2.0\rA".into(), Err(Error::BareLineEnd)),
            ("GET / HTTP/1.1\r\nHost: a\rb".into(), Err(Error::BareLineEnd)),
            ("GET / HTTP/1.1\r\nHost: a\r\n\rX".into(), Err(Error::BareLineEnd)),
            ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n".into(), Err(Error::BareLineEnd)),
            (format!("GET / HTTP/1.1\r\nA: {}\rb\r\n\r\n", &long[..26]), Err(Error::BareLineEnd)),
            (format!("GET / HTTP/1.1\r\nA: {}\rb\r\n\r\n", &long[..27]), Err(Error::FieldsTooLarge)),
            (format!("GET / HTTP/1.1\r\nA: {}\nb\r\n\r\n", &long[..28]), Err(Error::BareLineEnd)),
            (format!("GET / HTTP/1.1\r\nA: {}\nb\r\n\r\n", &long[..29]), Err(Error::FieldsTooLarge)),
            ("GET / HTTP/1.1\r\n\r\n".into(), Ok(Some(18))),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r".into(), Ok(None)),
        ] {
            for step in 1..=input.len() {
                assert_eq!(scan(input.as_bytes(), step), want, "{input:?} in steps of {step}");
            }
        }
    }
}
