//! The framing of bodies (RFC 9112 §6), and that of responses, for files and applications alike.

/// The end of a message's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// After this number of bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// With the connection; only for responses to HTTP/1.0.
    UntilClose,
}

/// The facts that the framing of a response depends on.
#[derive(Clone, Copy, Debug)]
pub struct ResponseFacts {
    /// Whether the request is HEAD: then no body follows, although the head may announce one (RFC 9110 §9.3.2).
    pub is_head: bool,
    /// Whether the client understands chunks.
    pub is_http11: bool,
    /// Whether the status allows no body: 204, 304 (RFC 9110 §6.4.1).
    pub is_bodiless: bool,
    /// The `Content-Length` that the fields have already.
    pub said_length: Option<u64>,
    /// The length of the body in bytes, if it is known.
    pub length: Option<u64>,
}

/// The framing of one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFraming {
    /// The framing that the head has to announce; [`BodyFraming::None`] if its fields do so already, or none is announced.
    pub announced: BodyFraming,
    /// The framing of the bytes that follow the head.
    pub body: BodyFraming,
}

impl ResponseFacts {
    /// Returns the framing (RFC 9112 §6.3): a length where it is known, else chunks, else the end of the connection.
    #[must_use]
    pub fn framing(self) -> ResponseFraming {
        use BodyFraming::{Chunked, Length, None as Nothing, UntilClose};
        let (announced, body) = match (self.said_length, self.length) {
            _ if self.is_bodiless => (Nothing, Nothing),
            (None, Some(length)) if self.is_head => (Length(length), Nothing),
            _ if self.is_head => (Nothing, Nothing),
            (Some(length), _) => (Nothing, Length(length)),
            (None, Some(length)) => (Length(length), Length(length)),
            (None, None) if self.is_http11 => (Chunked, Chunked),
            (None, None) => (Nothing, UntilClose),
        };
        ResponseFraming { announced, body }
    }
}

/// Frames a body that is made piece by piece.
#[derive(Clone, Copy, Debug)]
pub struct BodyWriter(BodyFraming);

/// The end of a chunked body, without trailer fields (RFC 9112 §7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl BodyWriter {
    /// A writer at the beginning of a body.
    #[must_use]
    pub fn new(framing: BodyFraming) -> Self {
        Self(framing)
    }

    /// Returns how many bytes of a piece of `length` bytes belong to the body.
    #[must_use]
    pub fn fits(&self, length: usize) -> usize {
        match self.0 {
            BodyFraming::Length(left) => usize::try_from(left).map_or(length, |left| left.min(length)),
            BodyFraming::Chunked | BodyFraming::UntilClose => length,
            BodyFraming::None => 0,
        }
    }

    /// Appends what precedes a piece of `length` bytes to `out`. Returns how many of them belong to the body; if that is
    /// not 0, they follow, and then [`Self::end_piece`].
    pub fn begin_piece(&mut self, length: usize, out: &mut Vec<u8>) -> usize {
        let count = self.fits(length);
        match &mut self.0 {
            BodyFraming::Length(left) => *left -= count as u64,
            // An empty chunk would end the body.
            BodyFraming::Chunked if count > 0 => push_chunk_size(count as u64, out),
            _ => {}
        }
        count
    }

    /// Appends what follows a piece to `out`.
    pub fn end_piece(&self, out: &mut Vec<u8>) {
        if self.0 == BodyFraming::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends `data` to `out`, framed. Returns how many of its bytes belong to the body; the others are left out.
    pub fn push(&mut self, data: &[u8], out: &mut Vec<u8>) -> usize {
        out.reserve(data.len() + 20);
        let count = self.begin_piece(data.len(), out);
        if count > 0 {
            out.extend_from_slice(&data[..count]);
            self.end_piece(out);
        }
        count
    }

    /// Whether a body of this framing has a length, so that bytes that exceed it are left out.
    #[must_use]
    pub fn has_length(&self) -> bool {
        matches!(self.0, BodyFraming::Length(_))
    }

    /// Counts `length` bytes of the body that reach the connection another way, as a file does. Returns how many of them
    /// belong to the body.
    pub fn skip(&mut self, length: u64) -> u64 {
        match &mut self.0 {
            BodyFraming::Length(left) => {
                let count = length.min(*left);
                *left -= count;
                count
            }
            _ => 0,
        }
    }

    /// Whether the body has all of its bytes.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.0, BodyFraming::Length(0) | BodyFraming::None)
    }

    /// Returns how many bytes of the announced length are missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        match self.0 {
            BodyFraming::Length(left) => left,
            _ => 0,
        }
    }

    /// Appends the end of the body to `out`.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.0 == BodyFraming::Chunked {
            out.extend_from_slice(LAST_CHUNK);
        }
        self.0 = BodyFraming::None;
    }

    /// Whether the end of the connection ends the body.
    #[must_use]
    pub fn is_until_close(&self) -> bool {
        self.0 == BodyFraming::UntilClose
    }
}

/// Appends the size line of a chunk of `length` bytes; `length` is at least 1, since a chunk of 0 ends the body.
fn push_chunk_size(length: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (u64::BITS - length.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        out.push(DIGITS[usize::try_from(length >> (4 * place) & 15).unwrap_or_default()]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes() {
        for length in [1, 9, 10, 15, 16, 255, 4096, 0xdead_beef, u64::MAX] {
            let mut out = Vec::new();
            push_chunk_size(length, &mut out);
            assert_eq!(out, format!("{length:x}\r\n").as_bytes());
        }
    }

    #[test]
    fn bodies() {
        for (framing, want, sent) in [
            (BodyFraming::Length(3), &b"abc"[..], 3),
            (BodyFraming::Length(9), b"abcd", 4),
            (BodyFraming::Chunked, b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", 4),
            (BodyFraming::UntilClose, b"abcd", 4),
            (BodyFraming::None, b"", 0),
        ] {
            let (mut writer, mut out) = (BodyWriter::new(framing), Vec::new());
            let belong: usize = [&b"ab"[..], b"", b"cd"].iter().map(|data| writer.push(data, &mut out)).sum();
            let missing = writer.missing();
            writer.finish(&mut out);
            assert_eq!((out.as_slice(), belong), (want, sent), "{framing:?}");
            assert_eq!(missing, if framing == BodyFraming::Length(9) { 5 } else { 0 });
        }
    }

    #[test]
    fn responses() {
        use BodyFraming::{Chunked, Length, None as Nothing, UntilClose};
        let facts = ResponseFacts {
            is_head: false,
            is_http11: true,
            is_bodiless: false,
            said_length: None,
            length: None,
        };
        for (facts, announced, body) in [
            (facts, Chunked, Chunked),
            (ResponseFacts { is_http11: false, ..facts }, Nothing, UntilClose),
            (ResponseFacts { length: Some(5), ..facts }, Length(5), Length(5)),
            (ResponseFacts { said_length: Some(5), ..facts }, Nothing, Length(5)),
            (ResponseFacts { length: Some(5), is_head: true, ..facts }, Length(5), Nothing),
            (ResponseFacts { length: Some(5), is_bodiless: true, ..facts }, Nothing, Nothing),
            (ResponseFacts { is_head: true, ..facts }, Nothing, Nothing),
        ] {
            assert_eq!(facts.framing(), ResponseFraming { announced, body }, "{facts:?}");
        }
    }
}
