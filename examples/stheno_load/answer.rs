//! The end of a response: as much of RFC 9112 as a client needs that sends one GET after another.

use std::io;

/// The most bytes that a head may have, as the server's own limit.
const LONGEST_HEAD: usize = 32 * 1024;

/// A response that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    head: Vec<u8>,
    /// Set when the head is complete.
    body: Option<Body>,
}

/// What a complete head says about the body.
#[derive(Clone, Copy, Debug)]
struct Body {
    status: u16,
    /// Bytes still to come; `None`: until the connection ends.
    left: Option<u64>,
    keeps: bool,
}

/// What a complete response tells the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    /// Whether another request may be sent on the connection.
    pub(crate) keeps: bool,
}

impl Answer {
    /// Whether nothing has arrived.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_none()
    }

    /// Takes the next piece, which is empty at the end of the connection. Returns `None` until the response is
    /// complete.
    ///
    /// # Errors
    /// `InvalidData` for input that is no response, or continues after its end; `UnexpectedEof` if it was cut
    /// off.
    pub(crate) fn take(&mut self, piece: &[u8]) -> io::Result<Option<Whole>> {
        if piece.is_empty() {
            return match self.body {
                Some(Body { status, left: None, .. }) => Ok(Some(Whole { status, keeps: false })),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        let body = match self.body {
            Some(_) => piece.len(),
            None => match self.take_head(piece)? {
                Some(count) => count,
                None => return Ok(None),
            },
        };
        self.take_body(body as u64)
    }

    /// Returns the number of body bytes that arrived together with the end of the head.
    fn take_head(&mut self, piece: &[u8]) -> io::Result<Option<usize>> {
        // A head usually arrives in one piece, and is then parsed in place.
        if self.head.is_empty()
            && let Some((body, length)) = parse(piece)?
        {
            self.body = Some(body);
            return Ok(Some(piece.len() - length));
        }
        self.head.extend_from_slice(piece);
        if self.head.len() > LONGEST_HEAD {
            return Err(invalid("a head without an end"));
        }
        let Some((body, length)) = parse(&self.head)? else { return Ok(None) };
        self.body = Some(body);
        Ok(Some(self.head.len() - length))
    }

    fn take_body(&mut self, count: u64) -> io::Result<Option<Whole>> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let Some(left) = &mut body.left else { return Ok(None) };
        *left = left.checked_sub(count).ok_or_else(|| invalid("more than was promised"))?;
        let is_whole = *left == 0;
        Ok(is_whole.then_some(Whole { status: body.status, keeps: body.keeps }))
    }
}

/// Parses the head at the start of `bytes`; returns it and its length if it is complete.
fn parse(bytes: &[u8]) -> io::Result<Option<(Body, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(invalid(&error.to_string())),
    };
    let field = |name: &str| {
        let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| String::from_utf8_lossy(field.value).trim().to_ascii_lowercase())
    };
    if field("transfer-encoding").is_some() {
        return Err(invalid("a transfer coding, which is not understood here"));
    }
    let status = response.code.unwrap_or_default();
    let length_field = field("content-length").map(|value| value.parse());
    let left = match length_field {
        _ if matches!(status, 204 | 304) => Some(0),
        Some(value) => Some(value.map_err(|_| invalid("a content-length that is no number"))?),
        None => None,
    };
    let said = field("connection").unwrap_or_default();
    let keeps = left.is_some() && said != "close" && (response.version == Some(1) || said == "keep-alive");
    Ok(Some((Body { status, left, keeps }, length)))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

    #[test]
    fn an_answer_ends_where_it_ends_in_any_split() {
        let whole = [HEAD, b"hello"].concat();
        for split in 1..whole.len() {
            let mut answer = Answer::default();
            assert!(answer.take(&whole[..split]).unwrap().is_none(), "{split}");
            let end = answer.take(&whole[split..]).unwrap().expect("the end");
            assert!(end.status == 200 && end.keeps);
        }
    }

    #[test]
    fn what_is_cut_or_goes_on_is_an_error() {
        let mut cut = Answer::default();
        assert!(cut.take(&[HEAD, b"hell"].concat()).unwrap().is_none());
        assert_eq!(cut.take(b"").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let long = Answer::default().take(&[HEAD, b"hello!"].concat());
        assert_eq!(long.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn without_a_length_the_end_is_the_end() {
        let mut answer = Answer::default();
        assert!(answer.take(b"HTTP/1.0 200 OK\r\n\r\nhel").unwrap().is_none());
        assert!(answer.take(b"lo").unwrap().is_none());
        assert!(!answer.take(b"").unwrap().expect("the end").keeps);
    }
}
