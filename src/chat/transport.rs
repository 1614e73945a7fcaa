//! The transport of a connection: a trait, the loop that sends over it, and an implementation in memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use super::file_slice::FileSlice;
use super::queue::{OutQueue, Segment};

/// The bytes of a file that are copied at a time.
const COPIED: usize = 16 * 1024;

/// A byte stream under a protocol: a socket on a loop, a socket on a runtime, or memory.
///
/// Each call moves at most the rest of the current turn's budget; a stream whose budget is spent acts as one that would
/// block.
pub trait Transport {
    /// Receives bytes. `None`: no bytes are here now. Empty: the peer has closed its sending half.
    ///
    /// # Errors
    /// As recv(2), except `EAGAIN` and `EINTR`.
    fn recv(&mut self) -> io::Result<Option<&[u8]>>;

    /// Whether the first byte that the next [`Transport::recv`] returns was here before the present turn of the loop; true
    /// once for each report of the kernel.
    fn take_report(&mut self) -> bool {
        false
    }

    /// Makes the next [`Transport::recv`] ask the kernel, even without an event.
    fn look_again(&mut self) {}

    /// Sends bytes; `more`: more output follows at once (`MSG_MORE`). Returns the number of bytes taken; `None`: no room.
    ///
    /// # Errors
    /// As send(2), except `EAGAIN` and `EINTR`.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Option<usize>>;

    /// Sends `first` and then `second`, in one call where the transport has one for that. As [`Transport::send`]; it may
    /// take `first` alone.
    ///
    /// # Errors
    /// As [`Transport::send`].
    fn send_both(&mut self, first: &[u8], _second: &[u8], _more: bool) -> io::Result<Option<usize>> {
        self.send(first, true)
    }

    /// Sends `len` bytes of `file` from `offset` on. As [`Transport::send`]; `Some(0)` is the end of the file.
    ///
    /// # Errors
    /// As sendfile(2), except `EAGAIN` and `EINTR`.
    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<usize>>;

    /// Whether this turn has time for another piece of a producer, which costs more than its bytes.
    fn may_produce(&mut self) -> bool {
        true
    }

    /// Closes the sending half. An error is ignored: the next read reports that the peer is gone.
    fn shutdown(&mut self);

    /// Returns how many of the bytes that were sent the peer has not acknowledged; `None`: that is not known.
    fn unacknowledged(&self) -> Option<u64> {
        None
    }

    /// Lets the kernel queue more unsent bytes, for a peer that has shown that it reads.
    fn widen(&mut self) {}

    /// Makes the following close a reset.
    ///
    /// # Errors
    /// As setsockopt(2).
    fn reset(&mut self) -> io::Result<()>;
}

/// The result of [`transmit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmitted {
    /// The number of bytes that the transport took.
    pub bytes: u64,
    /// Whether the queue is empty now.
    pub drained: bool,
}

/// Sends queued output until the queue is empty, the transport full, or this turn's budget spent.
/// (`async_chat.initiate_send`)
///
/// # Errors
/// As the transport, the producers and [`FileSlice::check`](super::FileSlice::check); `UnexpectedEof` if a file has become
/// shorter than its slice: the response cannot be completed, and padding would be false content.
// The server has several services, and so several callers: inlined into each, as into a single one.
#[inline(always)]
pub fn transmit(transport: &mut impl Transport, queue: &mut OutQueue) -> io::Result<Transmitted> {
    let before = queue.taken();
    let mut drained = false;
    while !queue.is_to_be_made() || transport.may_produce() {
        let sent = match queue.front()? {
            None => {
                drained = true;
                break;
            }
            Some(Segment::Bytes { bytes, more }) => transport.send(bytes, more)?,
            Some(Segment::Both { first, second, more }) => {
                let length = first.len();
                match transport.send_both(first, second, more)? {
                    Some(count) if count > length => {
                        queue.advance(length);
                        Some(count - length)
                    }
                    sent => sent,
                }
            }
            Some(Segment::File(slice)) if slice.is_copied => copy(transport, slice)?,
            Some(Segment::File(slice)) => {
                slice.check()?;
                not_cut(transport.send_file(slice.as_fd(), slice.offset, slice.len)?)?
            }
        };
        match sent {
            Some(count) => queue.advance(count),
            None => break,
        }
    }
    Ok(Transmitted { bytes: queue.taken() - before, drained })
}

/// Sends the first bytes of a slice from memory. Bytes that the transport does not take are read again next time.
fn copy(transport: &mut impl Transport, slice: &FileSlice) -> io::Result<Option<usize>> {
    let mut piece = [0; COPIED];
    let count = slice.read(&mut piece)?;
    not_cut(Some(count))?;
    transport.send(&piece[..count], (count as u64) < slice.len)
}

/// Fails for the end of a file before the end of its slice.
fn not_cut(sent: Option<usize>) -> io::Result<Option<usize>> {
    if sent == Some(0) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short"));
    }
    Ok(sent)
}

impl OutQueue {
    /// Takes all output out of the queue, as bytes: for tests and for drivers without a socket.
    ///
    /// # Errors
    /// As [`transmit`].
    pub fn to_bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut memory = Memory::default();
        transmit(&mut memory, self)?;
        Ok(memory.sent)
    }
}

/// A transport in memory: for tests, for fuzzing, and for running a protocol step by step.
#[derive(Debug)]
pub struct Memory {
    /// The bytes in the receive buffer, which the peer has sent.
    pub inbox: Vec<u8>,
    /// Whether the peer has closed its sending half.
    pub is_ended: bool,
    /// The most bytes that one `recv` returns.
    pub read_size: usize,
    /// The free space in the peer's receive buffer, in bytes.
    pub room: usize,
    /// The bytes that were sent to the peer.
    pub sent: Vec<u8>,
    /// How many of them the peer has not acknowledged, if that is known.
    pub unacknowledged: Option<u64>,
    /// Whether the server's sending half is closed.
    pub is_shut_down: bool,
    /// Whether the connection was reset.
    pub is_reset: bool,
    /// Whether the last send announced more output (`MSG_MORE`).
    pub is_held: bool,
    /// The result of the last `recv`.
    received: Vec<u8>,
}

impl Default for Memory {
    /// An open stream with an empty receive buffer, whose peer takes any number of bytes.
    fn default() -> Self {
        Self {
            inbox: Vec::new(),
            is_ended: false,
            read_size: 64 * 1024,
            room: usize::MAX,
            sent: Vec::new(),
            unacknowledged: None,
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

    fn unacknowledged(&self) -> Option<u64> {
        self.unacknowledged
    }

    fn shutdown(&mut self) {
        self.is_shut_down = true;
    }

    fn reset(&mut self) -> io::Result<()> {
        self.is_reset = true;
        Ok(())
    }
}
