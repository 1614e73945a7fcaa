//! The body of a request: Content-Length and chunked framing (RFC 9112 §6, §7.1).
//!
//! [`BodyReader`] is pulled: each [`BodyReader::step`] takes what it can from the window and says what it
//! was. Everything malformed is refused at once; no white space, sign or bare line end is forgiven, because
//! each of them has been read differently by two servers in a row.

use std::num::NonZeroU64;

use super::error::Error;
use super::framing::BodyFraming;
use super::grammar::{is_field_value_byte, is_tchar, is_token, trim_ows};
use crate::chat::{Frame, Terminate, Terminator, Window};

/// Bytes of all chunk extensions of one body: nobody uses them, and Go's reader was made to spin on them.
const MAX_EXTENSIONS: usize = 4 * 1024;
/// Bytes of a chunk's size line: 16 digits and all the extensions there may be.
const MAX_SIZE_LINE: usize = 16 + MAX_EXTENSIONS;
/// Framing bytes that a body may have before they are weighed against its content.
const FREE_OVERHEAD: u64 = 100_000;
/// Framing bytes that each byte of content may carry after that.
const MAX_OVERHEAD_RATIO: u64 = 16;
/// Bytes and fields of a trailer section.
const MAX_TRAILER: usize = 8 * 1024;
const MAX_TRAILER_FIELDS: usize = 50;

/// What one step has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first so many bytes of the window are content; consume them before the next step.
    Data(usize),
    /// More input is needed.
    NeedMore,
    /// The body is over.
    End,
}

/// Takes a body off the input.
#[derive(Debug)]
pub struct BodyReader {
    place: Place,
    /// Content bytes so far.
    content: u64,
    /// Framing bytes so far.
    overhead: u64,
    extensions: usize,
    trailer: usize,
    trailer_fields: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the content of a body whose length is known; the number is the bytes that are left.
    Content(NonZeroU64),
    /// Before a chunk's size line.
    Size,
    /// In the content of a chunk; the number is the bytes that are left.
    Chunk(NonZeroU64),
    /// Before the CR LF after a chunk's content.
    ChunkEnd,
    /// Before a trailer field, or the empty line that ends the body.
    Trailer,
    End,
}

/// The terminator of a line of framing: CR LF, after `limit` bytes at the most. It refuses a longer line, and any other
/// CR or LF, as it comes.
struct LineEnd {
    limit: usize,
    error: Error,
}

impl Terminate for LineEnd {
    type Error = Error;

    fn find(&mut self, unread: &[u8], searched: &mut usize) -> Result<Frame, Error> {
        let offset = memchr::memchr2(b'\r', b'\n', &unread[*searched..]);
        let end = offset.map_or(unread.len(), |offset| *searched + offset);
        *searched = end;
        match unread[end..] {
            _ if end > self.limit => Err(self.error),
            [b'\r', b'\n', ..] => Ok(Frame::Whole { data: end, terminator: 2 }),
            // Nothing, or the first half of the line's end.
            [] | [b'\r'] => Ok(Frame::Part { data: 0 }),
            _ => Err(self.error),
        }
    }
}

impl BodyReader {
    /// A reader for a body with this framing.
    #[must_use]
    pub fn new(framing: BodyFraming) -> Self {
        Self {
            place: match framing {
                BodyFraming::Length(length) => NonZeroU64::new(length).map_or(Place::End, Place::Content),
                BodyFraming::Chunked => Place::Size,
                BodyFraming::None | BodyFraming::UntilClose => Place::End,
            },
            content: 0,
            overhead: 0,
            extensions: 0,
            trailer: 0,
            trailer_fields: 0,
        }
    }

    /// Content bytes so far.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.content
    }

    /// Content bytes that are known of: those so far, and what the length or the current chunk still promises.
    #[must_use]
    pub fn announced(&self) -> u64 {
        let left = match self.place {
            Place::Content(left) | Place::Chunk(left) => left.get(),
            _ => 0,
        };
        self.content.saturating_add(left)
    }

    /// Takes the framing off the front of the window, up to the next content.
    ///
    /// # Errors
    /// [`Error::Chunk`] or [`Error::Trailer`]: the connection cannot be used any more.
    pub fn step(&mut self, window: &mut Window<'_>) -> Result<Step, Error> {
        loop {
            let line = |limit, error| LineEnd { limit, error };
            let mut line_end = match self.place {
                Place::End => return Ok(Step::End),
                Place::Content(left) | Place::Chunk(left) => return Ok(self.take_content(left, window)),
                Place::Size => line(MAX_SIZE_LINE, Error::Chunk),
                Place::ChunkEnd => line(0, Error::Chunk),
                Place::Trailer => line(MAX_TRAILER - self.trailer, Error::Trailer),
            };
            let Frame::Whole { data, terminator } = window.find(&mut line_end)? else {
                return Ok(Step::NeedMore);
            };
            self.place = self.after_line(&window.bytes()[..data])?;
            window.consume(data + terminator);
        }
    }

    /// Content is a frame of a known length: asynchat's own terminator for numbers.
    fn take_content(&mut self, left: NonZeroU64, window: &mut Window<'_>) -> Step {
        let mut rest = Terminator::Length(left);
        let Ok(Frame::Whole { data, .. } | Frame::Part { data }) = window.find(&mut rest);
        if data == 0 {
            return Step::NeedMore;
        }
        self.content += data as u64;
        self.place = match (rest, self.place) {
            (Terminator::Length(left), Place::Chunk(_)) => Place::Chunk(left),
            (Terminator::Length(left), _) => Place::Content(left),
            (_, Place::Chunk(_)) => Place::ChunkEnd,
            _ => Place::End,
        };
        Step::Data(data)
    }

    fn after_line(&mut self, line: &[u8]) -> Result<Place, Error> {
        self.overhead += line.len() as u64 + 2;
        match self.place {
            Place::Size => self.after_size(line),
            Place::Trailer => self.after_trailer_line(line),
            // The limit of 0 has made sure that it is empty.
            _ => Ok(Place::Size),
        }
    }

    /// `chunk-size [ chunk-ext ]`: hexadecimal digits only, 16 at the most.
    fn after_size(&mut self, line: &[u8]) -> Result<Place, Error> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extensions) = line.split_at(digits);
        if !(1..=16).contains(&digits) || !are_extensions(extensions) {
            return Err(Error::Chunk);
        }
        self.extensions += extensions.len();
        let excess = self.overhead > FREE_OVERHEAD && self.overhead / MAX_OVERHEAD_RATIO > self.content;
        if self.extensions > MAX_EXTENSIONS || excess {
            return Err(Error::Chunk);
        }
        let size = size.iter().fold(0u64, |size, digit| {
            // 16 hexadecimal digits fill a u64 exactly.
            size << 4 | u64::from((*digit as char).to_digit(16).unwrap_or(0))
        });
        if i64::try_from(size).is_err() {
            return Err(Error::Chunk);
        }
        Ok(NonZeroU64::new(size).map_or(Place::Trailer, Place::Chunk))
    }

    /// A field line, held to the same rules as one in the head, or the end.
    fn after_trailer_line(&mut self, line: &[u8]) -> Result<Place, Error> {
        if line.is_empty() {
            return Ok(Place::End);
        }
        self.trailer += line.len() + 2;
        self.trailer_fields += 1;
        let fits = self.trailer <= MAX_TRAILER && self.trailer_fields <= MAX_TRAILER_FIELDS;
        if fits && is_trailer_field(line) { Ok(Place::Trailer) } else { Err(Error::Trailer) }
    }
}

/// `*( ";" chunk-ext-name [ "=" chunk-ext-val ] )` (RFC 9112 §7.1.1), without the white space that the RFC
/// calls bad.
fn are_extensions(mut bytes: &[u8]) -> bool {
    while let [b';', rest @ ..] = bytes {
        let Some(rest) = skip_token(rest) else {
            return false;
        };
        bytes = match rest {
            [b'=', b'"', rest @ ..] => match skip_quoted(rest) {
                Some(rest) => rest,
                None => return false,
            },
            [b'=', rest @ ..] => match skip_token(rest) {
                Some(rest) => rest,
                None => return false,
            },
            _ => rest,
        };
    }
    bytes.is_empty()
}

fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|byte| is_tchar(**byte)).count();
    (length > 0).then(|| &bytes[length..])
}

/// The rest of a `quoted-string` (RFC 9110 §5.6.4) whose opening quote has been taken.
fn skip_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if is_field_value_byte(*escaped) => rest,
            [b'\\', ..] => return None,
            [byte, rest @ ..] if is_field_value_byte(*byte) => rest,
            _ => return None,
        };
    }
}

/// A well-formed field that may stand in a trailer: none that frames, routes or authenticates (RFC 9110
/// §6.5.1).
fn is_trailer_field(line: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 6] =
        [b"host", b"content-length", b"transfer-encoding", b"trailer", b"authorization", b"content-encoding"];
    let Some(colon) = memchr::memchr(b':', line) else {
        return false;
    };
    let (name, value) = (&line[..colon], trim_ows(&line[colon + 1..]));
    is_token(name)
        && value.iter().copied().all(is_field_value_byte)
        && !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::InBuffer;

    /// Reads a body in pieces of `step`; answers its content and what stands behind it.
    fn read(framing: BodyFraming, input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let (mut buffer, mut reader) = (InBuffer::new(), BodyReader::new(framing));
        let (mut content, mut behind) = (Vec::new(), Vec::new());
        let mut ended = false;
        for piece in input.chunks(step) {
            if ended {
                behind.extend_from_slice(piece);
                continue;
            }
            let mut window = buffer.open(piece);
            loop {
                match reader.step(&mut window)? {
                    Step::Data(count) => {
                        content.extend_from_slice(&window.bytes()[..count]);
                        window.consume(count);
                    }
                    Step::NeedMore => break,
                    Step::End => {
                        ended = true;
                        behind.extend_from_slice(window.bytes());
                        let rest = window.bytes().len();
                        window.consume(rest);
                        break;
                    }
                }
            }
            buffer.close(window);
        }
        assert!(ended, "the body did not end");
        assert_eq!(reader.content(), content.len() as u64);
        Ok((content, behind))
    }

    #[test]
    fn bodies_at_every_split() {
        let length = BodyFraming::Length(3);
        for (framing, input) in [
            (length, "abcREST"),
            (BodyFraming::Chunked, "3\r\nabc\r\n0\r\n\r\nREST"),
            (BodyFraming::Chunked, "1\r\na\r\n02\r\nbc\r\n000\r\n\r\nREST"),
            (BodyFraming::Chunked, "3;a;b=c;d=\"e \\\" f\"\r\nabc\r\n0;x\r\nX-T: 1\r\nY:\r\n\r\nREST"),
        ] {
            for step in 1..=input.len() {
                let read = read(framing, input.as_bytes(), step);
                assert_eq!(read, Ok((b"abc".to_vec(), b"REST".to_vec())), "{input:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn doubts_are_refused_at_every_split() {
        let long = "x".repeat(5000);
        let fields = "A: b\r\n".repeat(51);
        for (input, want) in [
            ("\r\nabc", Error::Chunk),
            (" 3\r\nabc", Error::Chunk),
            ("3 \r\nabc", Error::Chunk),
            ("+3\r\nabc", Error::Chunk),
            ("0x3\r\nabc", Error::Chunk),
            ("1_0\r\nabc", Error::Chunk),
            ("00000000000000003\r\nabc", Error::Chunk),
            ("8000000000000000\r\nabc", Error::Chunk),
            ("3\nabc\r\n0\r\n\r\n", Error::Chunk),
            ("3\rabc\r\n0\r\n\r\n", Error::Chunk),
            ("3\r\nabc\n0\r\n\r\n", Error::Chunk),
            ("3\r\nabcd\r\n0\r\n\r\n", Error::Chunk),
            ("3;\r\nabc", Error::Chunk),
            ("3;a=\r\nabc", Error::Chunk),
            ("3;a b\r\nabc", Error::Chunk),
            ("3;a=\"\r\nabc\"\r\n", Error::Chunk),
            ("3;a\0\r\nabc", Error::Chunk),
            (&format!("3;{long}\r\nabc"), Error::Chunk),
            ("3\n", Error::Chunk),
            ("3\r;", Error::Chunk),
            ("3\r\nabc\n", Error::Chunk),
            ("0\r\n\n", Error::Trailer),
            ("0\r\n\r\r", Error::Trailer),
            ("0\r\nX: a\n", Error::Trailer),
            ("0\r\nX T\r\n\r\n", Error::Trailer),
            ("0\r\n X: T\r\n\r\n", Error::Trailer),
            ("0\r\nX : T\r\n\r\n", Error::Trailer),
            ("0\r\nX: a\rb\r\n\r\n", Error::Trailer),
            ("0\r\nContent-Length: 3\r\n\r\n", Error::Trailer),
            ("0\r\nXXGET / HTTP/1.1\r\n", Error::Trailer),
            (&format!("0\r\nA: {long}\r\nB: {long}\r\n\r\n"), Error::Trailer),
            (&format!("0\r\n{fields}\r\n"), Error::Trailer),
        ] {
            for step in [1, 2, 3, 5, 7, input.len()] {
                let read = read(BodyFraming::Chunked, input.as_bytes(), step);
                assert_eq!(read, Err(want), "RULES A55 to A61: {input:.40?} in steps of {step}");
            }
        }
    }

    /// RULES A59: a body that is all framing is cut off.
    #[test]
    fn overhead_is_bounded() {
        let input = [b"1;abcdefgh=ijklmnop\r\nx\r\n".repeat(400), b"0\r\n\r\n".to_vec()].concat();
        assert_eq!(read(BodyFraming::Chunked, &input, input.len()), Err(Error::Chunk), "too many extensions");
        let input = [b"1\r\nx\r\n".repeat(60_000), b"0\r\n\r\n".to_vec()].concat();
        assert!(read(BodyFraming::Chunked, &input, 4096).is_ok(), "five bytes of framing each are common");
    }
}
