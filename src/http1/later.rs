//! Answers that are not there when the head of a request is: an application makes them, when it has seen the body,
//! piece by piece, and perhaps on another thread.
//!
//! ```text
//! head ──► Service::begin ──► Later ──body()*──► begin() ──► poll()* ──► Progress::End
//!                               └── dropped at any moment: the client is gone
//! ```

use std::fmt;
use std::net::SocketAddr;

use super::response::Response;
use super::status::Status;
use crate::chat::OutQueue;

/// What becomes of a request whose head is whole.
#[derive(Debug)]
pub enum Reply {
    /// This is the answer.
    Now(Response),
    /// He makes it.
    Later(Box<dyn Later>),
}

/// Makes the answer to one request. It is dropped when the answer is complete, or when nobody waits for it any
/// more.
pub trait Later: fmt::Debug {
    /// Takes the next bytes of the request's body, without its framing.
    ///
    /// # Errors
    /// The status to refuse the request with, when there is no place for them.
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status>;

    /// The body is over.
    fn begin(&mut self);

    /// Puts what there is of the answer, head and framing included, behind what waits to be sent. Asked when the
    /// driver was woken, and whenever everything has left.
    fn poll(&mut self, out: &mut OutQueue) -> Progress;

    /// The status of the answer and the bytes of its head, once that is put out: for the log.
    fn answered(&self) -> Option<(Status, u64)>;
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is no more now; the driver is woken when there is.
    Pending,
    /// There may be more at once, when this has left.
    More,
    /// That was all of it.
    End(Ending),
}

/// What comes behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The next request: the head has promised it.
    KeepAlive,
    /// The end of the connection: the head has announced it, or the end is what frames the answer.
    Close,
    /// The answer is not whole and cannot become so: the connection ends, so that the client can tell.
    Cut {
        /// Where only a reset can tell, because a close is what ends the answer.
        reset: bool,
    },
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// His address, if he has one.
    pub address: Option<SocketAddr>,
    /// The number of the listening socket he came through.
    pub entrance: u16,
    /// What the driver knows his connection by.
    pub connection: u64,
    /// What the system knows it by: a descriptor, for who cannot wait for the driver.
    pub file: i32,
}

/// How the body of an answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many bytes.
    Length(u64),
    /// It has no body, or the fields say already how long it is.
    AsSaid,
    /// Chunks.
    Chunked,
    /// Until the connection closes.
    UntilClose,
}

/// The head of an answer whose fields an application has made.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    /// Code and reason phrase.
    pub status: &'a [u8],
    /// Field lines, each ended by CR LF.
    pub fields: &'a [u8],
    /// The value of `Server`, unless the application has set one.
    pub server: Option<&'a str>,
    /// The value of `Date`, unless the application has set one.
    pub date: Option<&'a str>,
    /// Whether the connection lives on.
    pub keep_alive: bool,
    /// How the body is framed.
    pub extent: Extent,
}

/// The end of a body in chunks.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl AnswerHead<'_> {
    /// Writes it to the end of `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(160 + self.status.len() + self.fields.len());
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
        out.extend_from_slice(self.fields);
        match self.extent {
            Extent::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                super::response::push_decimal(length, out);
                out.extend_from_slice(b"\r\n\r\n");
            }
            Extent::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            Extent::AsSaid | Extent::UntilClose => out.extend_from_slice(b"\r\n"),
        }
    }
}

/// Writes the line that stands before a chunk of `length` bytes, which must not be 0. Behind it stands CR LF.
pub fn push_chunk_size(length: u64, out: &mut Vec<u8>) {
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
    fn sizes_of_chunks() {
        for length in [1, 9, 10, 15, 16, 255, 4096, 0xdead_beef, u64::MAX] {
            let mut out = Vec::new();
            push_chunk_size(length, &mut out);
            assert_eq!(out, format!("{length:x}\r\n").as_bytes());
        }
    }

    #[test]
    fn heads() {
        let head = AnswerHead {
            status: b"200 OK",
            fields: b"A: b\r\n",
            server: Some("s"),
            date: None,
            keep_alive: true,
            extent: Extent::Chunked,
        };
        let mut out = Vec::new();
        head.write_to(&mut out);
        let text = "HTTP/1.1 200 OK\r\nServer: s\r\nConnection: keep-alive\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(String::from_utf8(out).expect("text"), text);
    }
}
