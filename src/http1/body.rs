//! The reader of request bodies: Content-Length and chunked framing (RFC 9112 §6, §7.1).
//!
//! Malformed framing is refused at once, with its signs, bare line ends, and white space where the grammar has none: two
//! servers in a row have read each of them differently.

use std::num::NonZeroU64;

use super::error::Error;
use super::framing::BodyFraming;
use super::grammar::{is_field_value_byte, is_tchar, is_token, trim_ows};
use crate::chat::{Frame, Terminate, Terminator, Window};

/// Bytes of all chunk extensions of one body: no client needs them, and Go's reader could be made to spin on them.
const MAX_EXTENSIONS: usize = 4 * 1024;
/// Bytes of a chunk's size line: 16 digits and the extensions.
const MAX_SIZE_LINE: usize = 16 + MAX_EXTENSIONS;
/// Framing bytes that a body may have before they are compared with its content.
const FREE_OVERHEAD: u64 = 100_000;
/// Framing bytes that each byte of content may carry after that.
const MAX_OVERHEAD_RATIO: u64 = 16;
/// Bytes of a trailer section.
const MAX_TRAILER: usize = 8 * 1024;
/// Fields of a trailer section.
const MAX_TRAILER_FIELDS: usize = 50;

/// The next thing in a body, as [`BodyReader::next_event`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEvent {
    /// This number of bytes at the front of the window is content. The caller consumes them before the next call.
    Data(usize),
    /// More input is needed.
    NeedData,
    /// The body is complete.
    End,
}

/// Separates the content of a body from its framing.
#[derive(Debug)]
pub struct BodyReader {
    position: Position,
    /// Content bytes so far.
    content: u64,
    /// Framing bytes so far.
    overhead: u64,
    extensions: usize,
    trailer: usize,
    trailer_fields: usize,
}

/// The part of the body that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// The content of a body of a known length, with the bytes that are left.
    Content(NonZeroU64),
    /// A chunk's size line.
    Size,
    /// The content of a chunk, with the bytes that are left.
    Chunk(NonZeroU64),
    /// The CR LF after a chunk's content.
    ChunkEnd,
    /// A trailer field, or the empty line that ends the body.
    Trailer,
    End,
}

/// The terminator of a line of framing: CR LF, after at most `limit` bytes. It refuses a longer line, and any other CR
/// or LF, as soon as it comes.
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
            // The line goes on, or the CR of its end has come.
            [] | [b'\r'] => Ok(Frame::Part { data: 0 }),
            _ => Err(self.error),
        }
    }
}

impl BodyReader {
    /// A reader at the beginning of a body with this framing.
    #[must_use]
    pub fn new(framing: BodyFraming) -> Self {
        Self {
            position: match framing {
                BodyFraming::Length(length) => {
                    NonZeroU64::new(length).map_or(Position::End, Position::Content)
                }
                BodyFraming::Chunked => Position::Size,
                BodyFraming::None | BodyFraming::UntilClose => Position::End,
            },
            content: 0,
            overhead: 0,
            extensions: 0,
            trailer: 0,
            trailer_fields: 0,
        }
    }

    /// Returns the number of content bytes so far.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.content
    }

    /// Returns the content bytes so far plus those that the length or the current chunk has announced.
    #[must_use]
    pub fn announced(&self) -> u64 {
        let left = match self.position {
            Position::Content(left) | Position::Chunk(left) => left.get(),
            _ => 0,
        };
        self.content.saturating_add(left)
    }

    /// Consumes the framing at the front of the window, up to the next content.
    ///
    /// # Errors
    /// [`Error::Chunk`] or [`Error::Trailer`]: the connection cannot be used any more.
    pub fn next_event(&mut self, window: &mut Window<'_>) -> Result<BodyEvent, Error> {
        loop {
            let line = |limit, error| LineEnd { limit, error };
            let mut line_end = match self.position {
                Position::End => return Ok(BodyEvent::End),
                Position::Content(left) | Position::Chunk(left) => return Ok(self.take_content(left, window)),
                Position::Size => line(MAX_SIZE_LINE, Error::Chunk),
                Position::ChunkEnd => line(0, Error::Chunk),
                Position::Trailer => line(MAX_TRAILER - self.trailer, Error::Trailer),
            };
            let Frame::Whole { data, terminator } = window.find(&mut line_end)? else {
                return Ok(BodyEvent::NeedData);
            };
            self.position = self.after_line(&window.bytes()[..data])?;
            window.consume(data + terminator);
        }
    }

    /// Finds content, with asynchat's terminator for a length: `left` bytes are missing.
    fn take_content(&mut self, left: NonZeroU64, window: &mut Window<'_>) -> BodyEvent {
        let mut rest = Terminator::Length(left);
        let Ok(Frame::Whole { data, .. } | Frame::Part { data }) = window.find(&mut rest);
        if data == 0 {
            return BodyEvent::NeedData;
        }
        self.content += data as u64;
        self.position = match (rest, self.position) {
            (Terminator::Length(left), Position::Chunk(_)) => Position::Chunk(left),
            (Terminator::Length(left), _) => Position::Content(left),
            (_, Position::Chunk(_)) => Position::ChunkEnd,
            _ => Position::End,
        };
        BodyEvent::Data(data)
    }

    fn after_line(&mut self, line: &[u8]) -> Result<Position, Error> {
        self.overhead += line.len() as u64 + 2;
        match self.position {
            Position::Size => self.after_size(line),
            Position::Trailer => self.after_trailer_line(line),
            // The line is empty: its limit is 0.
            _ => Ok(Position::Size),
        }
    }

    /// Parses `chunk-size [ chunk-ext ]`: 1 to 16 hexadecimal digits, whose value an `i64` holds.
    fn after_size(&mut self, line: &[u8]) -> Result<Position, Error> {
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
        Ok(NonZeroU64::new(size).map_or(Position::Trailer, Position::Chunk))
    }

    /// Checks a trailer line: a field line under the rules of the head, or the empty line.
    fn after_trailer_line(&mut self, line: &[u8]) -> Result<Position, Error> {
        if line.is_empty() {
            return Ok(Position::End);
        }
        self.trailer += line.len() + 2;
        self.trailer_fields += 1;
        let fits = self.trailer <= MAX_TRAILER && self.trailer_fields <= MAX_TRAILER_FIELDS;
        if fits && is_trailer_field(line) { Ok(Position::Trailer) } else { Err(Error::Trailer) }
    }
}

/// Whether `bytes` is `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )` (RFC 9112 §7.1.1). A recipient must
/// parse BWS, the bad white space (RFC 9110 §5.6.3); at the end of the line it is none, and is refused.
fn are_extensions(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match skip_extension(bytes) {
            Some(rest) => bytes = rest,
            None => return false,
        }
    }
    true
}

fn skip_extension(bytes: &[u8]) -> Option<&[u8]> {
    let after_name = skip_token(skip_bws(skip_bws(bytes).strip_prefix(b";")?))?;
    match skip_bws(after_name).strip_prefix(b"=").map(skip_bws) {
        Some([b'"', quoted @ ..]) => skip_quoted(quoted),
        Some(token) => skip_token(token),
        None => Some(after_name),
    }
}

/// Skips `BWS = *( SP / HTAB )`.
fn skip_bws(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|byte| is_tchar(**byte)).count();
    (length > 0).then(|| &bytes[length..])
}

/// Skips the rest of a `quoted-string` (RFC 9110 §5.6.4) after its opening quote.
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

/// Whether `line` is a well-formed field that a trailer may contain: it does not frame, route or authenticate (RFC 9110
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
