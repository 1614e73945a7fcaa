//! The terminator of a head, which checks lengths, counts and line ends while the head is coming.
//!
//! Each verdict depends on a prefix of the stream only, so it is the same at any cut. All other checks wait for the whole
//! head.
//!
//! A bare CR or LF is refused at once: if the client sends nothing more, waiting would turn the 400 into a time-out.

use super::error::Error;
use super::grammar::is_tchar;
use super::head::{MAX_FIELDS, request_line, split_line};
use super::settings::Limits;
use crate::chat::{Frame, Terminate};

/// Bytes of a method. The longest registered method has 17 (UPDATEREDIRECTREF).
const MAX_METHOD: usize = 32;

/// Bytes of `METHOD SP` and `SP HTTP/1.1` around the target of the longest request line.
const REQUEST_LINE_EXTRA: usize = 64;

/// The progress of checking the lines of a head.
///
/// It is small, because a connection is as large as the largest of its states. The limits on heads and fields keep
/// `line_start` below 2³² and `lines` below 2¹⁶.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    line_start: u32,
    lines: u16,
    beginning_checked: bool,
    request_line_checked: bool,
}

/// The terminator of a head: CR LF CR LF, which refuses a malformed head before its end.
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

    /// Finds the end of the head. The empty line belongs to the data, because the parser needs it.
    fn find(&mut self, unread: &[u8], searched: &mut usize) -> Result<Frame, Error> {
        let scan = &mut *self.scan;
        if !scan.beginning_checked {
            scan.beginning_checked = check_beginning(unread)?;
        }
        let head = scan.check_lines(unread, searched, self.limits);
        // A whole head goes to the parser. An incomplete one is refused at once if its first line is malformed, with the
        // error of that line even if a later line is malformed, too.
        if scan.lines > 0 && !scan.request_line_checked && !matches!(head, Ok(Frame::Whole { .. })) {
            scan.request_line_checked = true;
            let (line, _) = split_line(unread).ok_or(Error::RequestLine)?;
            request_line(line, self.limits)?;
        }
        head
    }
}

impl HeadScan {
    /// Checks the lines that have come since the last call, up to the empty one; each byte is searched once.
    ///
    /// Lengths are checked before line ends: at another cut, the length would be the only error so far.
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
                // The next byte decides whether the CR is bare.
                [b'\r'] => {
                    *searched = at;
                    self.check_coming(bytes.len(), limits)?;
                    return Ok(Frame::Part { data: 0 });
                }
                // A bare CR is known with the byte after it, a bare LF at once.
                [b'\r', ..] => return self.check_coming(at + 2, limits).and(Err(Error::BareLineEnd)),
                _ => return self.check_coming(at, limits).and(Err(Error::BareLineEnd)),
            }
        }
        *searched = bytes.len();
        self.check_coming(bytes.len(), limits)?;
        Ok(Frame::Part { data: 0 })
    }

    /// Ends the line whose CR LF is at `at`; returns whether it is the empty line.
    fn end_line(&mut self, at: usize, limits: &Limits) -> Result<bool, Error> {
        let length = at - self.line_start as usize;
        self.check_length(length, limits)?;
        if at + 2 > limits.head {
            return Err(Error::FieldsTooLarge);
        }
        let is_end = length == 0;
        self.line_start = position(at + 2);
        self.lines = self.lines.saturating_add(1);
        // The request line and the fields; then only the empty line may follow.
        let most = limits.fields.min(MAX_FIELDS) + 1;
        if usize::from(self.lines) > most && !is_end { Err(Error::FieldsTooLarge) } else { Ok(is_end) }
    }

    /// Checks the incomplete line, of a head of `here` bytes so far; its last byte may be the CR of its end.
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

    /// Returns the number of field lines of a whole head.
    pub(super) fn fields(&self) -> usize {
        usize::from(self.lines).saturating_sub(2)
    }
}

/// Narrows a position in a head, which is bounded by the limit on heads and one read.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Checks that the input begins with a method of at most [`MAX_METHOD`] bytes and a space; `false` while that is
/// undecided. Noise is refused here, because it may contain no line end.
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
    use crate::chat::InBuffer;

    /// Over the wire most of these are 400: which limit or line end decides is seen here only.
    #[test]
    fn the_first_error_decides_at_every_cut() {
        let limits = Limits { field_line: 30, ..Limits::default() };
        let scan = |input: &[u8], step: usize| {
            let (mut buffer, mut scan) = (InBuffer::new(), HeadScan::default());
            for piece in input.chunks(step) {
                let mut window = buffer.open(piece);
                window.find(&mut HeadEnd::new(&mut scan, &limits))?;
                buffer.close(window);
            }
            Ok(())
        };
        let field = |count: usize, end: &str| format!("GET / HTTP/1.1\r\nA: {}{end}b", "x".repeat(count));
        for (input, want) in [
            (field(26, "\r"), Err(Error::BareLineEnd)),
            (field(27, "\r"), Err(Error::FieldsTooLarge)),
            (field(28, "\r"), Err(Error::FieldsTooLarge)),
            (field(28, "\n"), Err(Error::BareLineEnd)),
            (field(29, "\n"), Err(Error::FieldsTooLarge)),
            ("\x16\x03\x01".into(), Err(Error::NotHttp)),
            ("GET\t/".into(), Err(Error::RequestLine)),
            ("\rG".into(), Err(Error::BareLineEnd)),
            ("GET / HTTP/2.0\rA".into(), Err(Error::BareLineEnd)),
            ("GET / HTTP/2.0\r\nA: b\n".into(), Err(Error::Version)),
            (format!("GET / HTTP/2.0\r\nA: {}", "x".repeat(300)), Err(Error::Version)),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r".into(), Ok(())),
        ] {
            for step in 1..=input.len() {
                assert_eq!(scan(input.as_bytes(), step), want, "{input:?} in steps of {step}");
            }
        }
    }
}
