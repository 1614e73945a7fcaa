//! The two ends of a connection's bytes: what receives, what sends. Sockets implement it elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use super::queue::{OutQueue, Segment};

/// A stream that a protocol is driven over: a socket on a loop, one on a runtime, or memory.
///
/// Each call moves at most what is left of the current turn's budget; a stream whose budget is spent behaves like one
/// that would block.
pub trait Transport {
    /// Receives what has come. `None`: nothing now. Empty: the peer has closed its sending half.
    ///
    /// # Errors
    /// As recv(2), but for `EAGAIN` and `EINTR`.
    fn recv(&mut self) -> io::Result<Option<&[u8]>>;

    /// Makes the next [`Transport::recv`] ask the kernel, although nothing is known to have come.
    fn look_again(&mut self) {}

    /// Sends bytes; `more` says that more follows at once (`MSG_MORE`). Returns how many were taken; `None`: no room.
    ///
    /// # Errors
    /// As send(2), but for `EAGAIN` and `EINTR`.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Option<usize>>;

    /// Sends `len` bytes of `file` from `offset` on. As [`Transport::send`]; `Some(0)` is the end of the file.
    ///
    /// # Errors
    /// As sendfile(2), but for `EAGAIN` and `EINTR`.
    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<usize>>;

    /// Closes the sending half. A peer that is gone already shows in the next read.
    fn shutdown(&mut self);

    /// Lets the kernel hold more unsent bytes: the peer has shown that it reads.
    fn widen(&mut self) {}

    /// Makes the close that follows a reset.
    ///
    /// # Errors
    /// As setsockopt(2).
    fn reset(&mut self) -> io::Result<()>;
}

/// What [`transmit`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmitted {
    /// Bytes that the transport took.
    pub bytes: u64,
    /// Whether the queue is empty now.
    pub drained: bool,
}

/// Sends what waits, until the queue is empty, the transport full, or this turn's budget spent.
/// (`async_chat.initiate_send`)
///
/// # Errors
/// As the transport; `UnexpectedEof` when a file has become shorter than was promised: the response
/// cannot be completed, and padding it would pass off garbage as content.
pub fn transmit(transport: &mut impl Transport, queue: &mut OutQueue) -> io::Result<Transmitted> {
    let before = queue.taken();
    let mut drained = false;
    loop {
        let sent = match queue.front()? {
            None => {
                drained = true;
                break;
            }
            Some(Segment::Bytes { bytes, more }) => transport.send(bytes, more)?,
            Some(Segment::File { file, offset, len }) => match transport.send_file(file, offset, len)? {
                Some(0) => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short"));
                }
                sent => sent,
            },
        };
        match sent {
            Some(count) => queue.advance(count),
            None => break,
        }
    }
    Ok(Transmitted { bytes: queue.taken() - before, drained })
}

/// A transport without a socket: for tests, for fuzzing, and for looking at a protocol step by step.
#[derive(Debug)]
pub struct Memory {
    /// What the peer has sent and nobody has received, as in a socket's receive buffer.
    pub inbox: Vec<u8>,
    /// Whether the peer has closed its sending half.
    pub is_ended: bool,
    /// How many bytes one `recv` returns at the most.
    pub read_size: usize,
    /// How many bytes the peer takes before it is full.
    pub room: usize,
    /// What the peer has been sent.
    pub sent: Vec<u8>,
    /// Whether our sending half is closed.
    pub is_shut_down: bool,
    /// Whether the connection was reset.
    pub is_reset: bool,
    /// Whether the last bytes were sent with the word that more follows (`MSG_MORE`).
    pub is_held: bool,
    /// What the last `recv` returned.
    received: Vec<u8>,
}

impl Default for Memory {
    /// An open stream with nothing in it and room for everything.
    fn default() -> Self {
        Self {
            inbox: Vec::new(),
            is_ended: false,
            read_size: 64 * 1024,
            room: usize::MAX,
            sent: Vec::new(),
            is_shut_down: false,
            is_reset: false,
            is_held: false,
            received: Vec::new(),
        }
    }
}

impl Transport for Memory {
    fn recv(&mut self) -> io::Result<Option<&[u8]>> {
        let count = self.inbox.len().min(self.read_size);
        if count == 0 && !self.is_ended {
            return Ok(None);
        }
        self.received.clear();
        self.received.extend(self.inbox.drain(..count));
        Ok(Some(&self.received))
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        assert!(!self.is_shut_down, "bytes after the end");
        if self.room == 0 {
            return Ok(None);
        }
        let count = bytes.len().min(self.room);
        self.is_held = more;
        self.sent.extend_from_slice(&bytes[..count]);
        self.room -= count;
        Ok(Some(count))
    }

    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<usize>> {
        if self.room == 0 {
            return Ok(None);
        }
        let most = usize::try_from(len).map_or(self.room, |len| len.min(self.room)).min(1 << 20);
        let mut piece = vec![0; most];
        let count = File::from(file.try_clone_to_owned()?).read_at(&mut piece, offset)?;
        if count == 0 {
            return Ok(Some(0));
        }
        self.send(&piece[..count], false)
    }

    fn shutdown(&mut self) {
        self.is_shut_down = true;
    }

    fn reset(&mut self) -> io::Result<()> {
        self.is_reset = true;
        Ok(())
    }
}
