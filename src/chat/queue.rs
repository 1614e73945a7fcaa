//! Output that has not left yet: `asynchat`'s `producer_fifo`.
//!
//! What is pushed byte-wise is joined, so that the head of an answer, its small body, and the small answers
//! of a whole pipelined batch leave in one `send` (asynchat's `push` for each header made seven). A
//! producer is asked for its next piece when the one before it has left: one piece in memory, no more.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use super::producer::{Chunk, FileSlice, Producer};

/// From how many waiting bytes on a connection makes no further output and reads no further input: one
/// send's worth, so that a client which asks much and reads nothing costs no more than this.
pub const HIGH_WATER: u64 = 64 * 1024;

/// Fewer bytes are better copied to those that wait than sent on their own.
const WORTH_MOVING: usize = 16 * 1024;

/// The next thing to send.
#[derive(Debug)]
pub enum Segment<'a> {
    /// Bytes in memory.
    Bytes {
        /// What to send.
        bytes: &'a [u8],
        /// Whether more follows for certain: then the kernel may wait to fill the segment (`MSG_MORE`).
        more: bool,
    },
    /// A stretch of a file: `sendfile`.
    File {
        /// The file.
        file: BorrowedFd<'a>,
        /// Where the stretch begins.
        offset: u64,
        /// Its length, in bytes; at least 1.
        len: u64,
    },
}

#[derive(Debug)]
enum Entry {
    Chunk(Chunk),
    Producer(Box<dyn Producer>),
}

impl Entry {
    fn remaining(&self) -> u64 {
        match self {
            Self::Chunk(Chunk::Bytes(bytes)) => bytes.len() as u64,
            Self::Chunk(Chunk::File(slice)) => slice.len,
            Self::Producer(producer) => producer.remaining(),
        }
    }
}

/// A first-in, first-out queue of bytes and producers.
///
/// An empty one is three words: every connection has one, and most of them have nothing to send.
#[derive(Debug, Default)]
pub struct OutQueue {
    /// What waits, and the memory that it waits in.
    waiting: Option<Box<Waiting>>,
    /// Everything that has ever left.
    taken: u64,
    closing: bool,
    /// More will be queued at once.
    more_comes: bool,
}

#[derive(Debug, Default)]
struct Waiting {
    fifo: VecDeque<Entry>,
    /// How much of the first entry, if it is bytes, has left.
    sent: usize,
    /// An empty buffer, for the bytes that are queued next.
    spare: Vec<u8>,
}

/// The memory of a queue that is empty, for the next one that has something to send.
#[derive(Debug)]
pub struct Spare(Box<Waiting>);

impl OutQueue {
    /// An empty queue; it allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues bytes. (`async_chat.push`)
    pub fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.tail().extend_from_slice(bytes);
        }
    }

    /// Queues bytes with the memory they are in, where that is less work than to copy them. What is left is empty
    /// memory, for the bytes that come next.
    pub fn push_from(&mut self, bytes: &mut Vec<u8>) {
        let waiting = self.waiting.get_or_insert_default();
        if !waiting.fifo.is_empty() && bytes.len() < WORTH_MOVING {
            waiting.tail().append(bytes);
        } else if !bytes.is_empty() {
            let bytes = std::mem::replace(bytes, std::mem::take(&mut waiting.spare));
            waiting.fifo.push_back(Entry::Chunk(Chunk::Bytes(bytes)));
        }
    }

    /// Queues a producer. (`async_chat.push_with_producer`)
    pub fn push_with_producer(&mut self, producer: impl Producer + 'static) {
        self.push_back(Entry::Producer(Box::new(producer)));
    }

    /// Queues a stretch of a file, which the kernel sends.
    pub fn push_file(&mut self, slice: FileSlice) {
        if slice.len > 0 {
            self.push_back(Entry::Chunk(Chunk::File(slice)));
        }
    }

    fn push_back(&mut self, entry: Entry) {
        self.waiting.get_or_insert_default().fifo.push_back(entry);
    }

    /// The bytes at the end of the queue, to append to.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        self.waiting.get_or_insert_default().tail()
    }

    fn fifo(&self) -> impl Iterator<Item = &Entry> {
        self.waiting.iter().flat_map(|waiting| &waiting.fifo)
    }

    /// Whether more will be queued at once, for certain: then the kernel may wait for it to fill a segment, as it may
    /// where more stands here already. It waits for 200 ms at the most (tcp(7), `MSG_MORE`).
    pub fn set_more_comes(&mut self, more_comes: bool) {
        self.more_comes = more_comes;
    }

    /// Once everything has left, the connection is over. (`async_chat.close_when_done`)
    pub fn close_when_done(&mut self) {
        self.closing = true;
    }

    /// Whether the end stands behind what waits: nothing more is to be queued.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether everything has left and nothing more will come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.closing && self.is_empty()
    }

    /// Throws away what has not left, the end with it. (`async_chat.discard_buffers`)
    pub fn discard_buffers(&mut self) {
        self.waiting = None;
        (self.closing, self.more_comes) = (false, false);
    }

    /// Whether nothing waits. A producer waits until it has said that there is no more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.as_ref().is_none_or(|waiting| waiting.fifo.is_empty())
    }

    /// How many bytes wait, as far as the producers know.
    #[must_use]
    pub fn len(&self) -> u64 {
        let sent = self.waiting.as_ref().map_or(0, |waiting| waiting.sent as u64);
        self.fifo().map(Entry::remaining).sum::<u64>() - sent
    }

    /// Whether no more output should be made before some has left.
    #[must_use]
    pub fn is_above_high_water(&self) -> bool {
        self.len() >= HIGH_WATER
    }

    /// Whether a producer waits, or a stretch of a file: each may hold a descriptor.
    #[must_use]
    pub fn holds_more_than_bytes(&self) -> bool {
        !self.fifo().all(|entry| matches!(entry, Entry::Chunk(Chunk::Bytes(_))))
    }

    /// So many bytes have left by another way, in their turn.
    pub fn note_taken(&mut self, count: u64) {
        self.taken += count;
    }

    /// How many bytes have left since the beginning.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The next segment, asking the first producer for its next piece if need be.
    ///
    /// # Errors
    /// What [`Producer::more`] says.
    pub fn front(&mut self) -> io::Result<Option<Segment<'_>>> {
        match &mut self.waiting {
            Some(waiting) => waiting.front(self.more_comes),
            None => Ok(None),
        }
    }

    /// Marks `count` bytes of the front segment as sent.
    pub fn advance(&mut self, count: usize) {
        self.taken += count as u64;
        match &mut self.waiting {
            Some(waiting) => waiting.advance(count),
            None => debug_assert!(count == 0, "sent from an empty queue"),
        }
    }

    /// Gives an empty queue memory to work with.
    pub fn lend(&mut self, spare: Spare) {
        if self.is_empty() {
            self.waiting = Some(spare.0);
        }
    }

    /// Takes the memory out of a queue that is empty: an idle connection holds no buffer, and the next one
    /// that is busy need not ask for one.
    pub fn reclaim(&mut self) -> Option<Spare> {
        if self.is_empty() { self.waiting.take().map(Spare) } else { None }
    }

    /// Everything that waits, as bytes, taken out of the queue: for tests and for drivers without a socket.
    ///
    /// # Errors
    /// What the producers and the files say.
    pub fn to_bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(segment) = self.front()? {
            let before = all.len();
            match segment {
                Segment::Bytes { bytes, .. } => all.extend_from_slice(bytes),
                Segment::File { file, offset, len } => {
                    let mut piece = vec![0; usize::try_from(len.min(1 << 20)).unwrap_or(1 << 20)];
                    let file = std::fs::File::from(file.try_clone_to_owned()?);
                    let count = file.read_at(&mut piece, offset)?;
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    all.extend_from_slice(&piece[..count]);
                }
            }
            self.advance(all.len() - before);
        }
        Ok(all)
    }
}

impl Waiting {
    fn tail(&mut self) -> &mut Vec<u8> {
        if !matches!(self.fifo.back(), Some(Entry::Chunk(Chunk::Bytes(_)))) {
            let bytes = std::mem::take(&mut self.spare);
            self.fifo.push_back(Entry::Chunk(Chunk::Bytes(bytes)));
        }
        match self.fifo.back_mut() {
            Some(Entry::Chunk(Chunk::Bytes(bytes))) => bytes,
            _ => unreachable!("the last entry was just made"),
        }
    }

    fn front(&mut self, more_comes: bool) -> io::Result<Option<Segment<'_>>> {
        self.refill()?;
        let more = more_comes || self.fifo.get(1).is_some_and(|next| next.remaining() > 0);
        Ok(match self.fifo.front() {
            Some(Entry::Chunk(Chunk::Bytes(bytes))) => {
                Some(Segment::Bytes { bytes: &bytes[self.sent..], more })
            }
            Some(Entry::Chunk(Chunk::File(slice))) => {
                Some(Segment::File { file: slice.as_fd(), offset: slice.offset, len: slice.len })
            }
            Some(Entry::Producer(_)) | None => None,
        })
    }

    /// Brings it about that the first entry, if there is one, is a piece that is not empty.
    fn refill(&mut self) -> io::Result<()> {
        while let Some(first) = self.fifo.front_mut() {
            match first {
                Entry::Chunk(_) if first.remaining() > self.sent as u64 => return Ok(()),
                Entry::Chunk(_) => self.pop(),
                Entry::Producer(producer) => match producer.more()? {
                    Some(chunk) => self.fifo.push_front(Entry::Chunk(chunk)),
                    None => self.pop(),
                },
            }
        }
        Ok(())
    }

    fn advance(&mut self, count: usize) {
        match self.fifo.front_mut() {
            Some(Entry::Chunk(Chunk::Bytes(bytes))) => {
                self.sent += count;
                debug_assert!(self.sent <= bytes.len(), "sent more than there is");
                if self.sent == bytes.len() {
                    self.pop();
                }
            }
            Some(Entry::Chunk(Chunk::File(slice))) => {
                slice.advance(count as u64);
                if slice.len == 0 {
                    self.pop();
                }
            }
            Some(Entry::Producer(_)) | None => debug_assert!(count == 0, "sent from an empty queue"),
        }
    }

    fn pop(&mut self) {
        if let Some(Entry::Chunk(Chunk::Bytes(mut bytes))) = self.fifo.pop_front()
            && self.spare.capacity() == 0
            && bytes.capacity() as u64 <= 2 * HIGH_WATER
        {
            bytes.clear();
            self.spare = bytes;
        }
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{FileProducer, FileSlice, SimpleProducer};
    use std::io::Write;

    fn file(content: &[u8]) -> FileSlice {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(content).expect("write");
        FileSlice::new(file.into(), 0, content.len() as u64)
    }

    #[test]
    fn pushes_are_joined_and_order_is_kept() {
        let mut queue = OutQueue::new();
        queue.push(b"head ");
        queue.push(b"body ");
        queue.push_with_producer(FileProducer::new(file(b"file ")));
        queue.push_with_producer(SimpleProducer::with_buffer_size(b"produced ".to_vec(), 4));
        queue.push(b"end");
        assert_eq!(queue.len(), 27);
        match queue.front().expect("front").expect("a segment") {
            Segment::Bytes { bytes, more } => assert_eq!((bytes, more), (&b"head body "[..], true)),
            segment @ Segment::File { .. } => panic!("not {segment:?}"),
        }
        assert_eq!(queue.to_bytes().expect("bytes"), b"head body file produced end");
        assert!(queue.is_empty());
        assert_eq!(queue.taken(), 27);
    }

    #[test]
    fn the_kernel_is_told_what_is_to_come() {
        let more = |queue: &mut OutQueue| match queue.front().expect("front").expect("a segment") {
            Segment::Bytes { more, .. } => more,
            segment @ Segment::File { .. } => panic!("not {segment:?}"),
        };
        let mut queue = OutQueue::new();
        queue.push(b"piece");
        assert!(!more(&mut queue));
        queue.set_more_comes(true);
        assert!(more(&mut queue));
        queue.set_more_comes(false);
        assert!(!more(&mut queue));
    }

    #[test]
    fn bytes_come_with_their_memory_and_leave_some_behind() {
        let mut queue = OutQueue::new();
        let mut bytes = b"first ".to_vec();
        queue.push_from(&mut bytes);
        assert!(bytes.is_empty());
        bytes.extend_from_slice(b"few ");
        queue.push_from(&mut bytes);
        let mut many = vec![b'x'; WORTH_MOVING];
        queue.push_from(&mut many);
        assert_eq!(queue.len(), 10 + WORTH_MOVING as u64);
        match queue.front().expect("front").expect("a segment") {
            Segment::Bytes { bytes, more } => assert_eq!((bytes, more), (&b"first few "[..], true)),
            segment @ Segment::File { .. } => panic!("not {segment:?}"),
        }
        queue.to_bytes().expect("bytes");
        queue.push_from(&mut Vec::new());
        assert!(queue.is_empty());
        // The memory of what has left is what the next one leaves behind.
        let mut next = b"next".to_vec();
        queue.push_from(&mut next);
        assert!(next.is_empty() && next.capacity() >= 6);
    }

    #[test]
    fn any_partial_send_gives_the_same_bytes() {
        for step in 1..12 {
            let mut queue = OutQueue::new();
            queue.push(b"0123");
            queue.push_with_producer(FileProducer::new(file(b"456789").slice(1, 4)));
            queue.push(b"ab");
            let mut out = Vec::new();
            while let Some(segment) = queue.front().expect("front") {
                let (bytes, len) = match segment {
                    Segment::Bytes { bytes, .. } => (bytes.to_vec(), bytes.len()),
                    Segment::File { file, offset, len } => {
                        let len = usize::try_from(len).expect("a small file");
                        let mut bytes = vec![0; len];
                        let file = std::fs::File::from(file.try_clone_to_owned().expect("dup"));
                        file.read_exact_at(&mut bytes, offset).expect("read");
                        (bytes, len)
                    }
                };
                let count = len.min(step);
                out.extend_from_slice(&bytes[..count]);
                queue.advance(count);
            }
            assert_eq!(out, b"01235678ab", "in steps of {step}");
        }
    }

    #[test]
    fn the_last_bytes_never_wait_for_more() {
        let mut queue = OutQueue::new();
        queue.push(b"x");
        queue.push_with_producer(SimpleProducer::new(Vec::new()));
        let segment = queue.front().expect("front").expect("a segment");
        assert!(matches!(segment, Segment::Bytes { more: false, .. }), "nothing follows for certain");
        queue.close_when_done();
        assert!(!queue.is_done());
        queue.advance(1);
        assert!(queue.front().expect("front").is_none());
        assert!(queue.is_done());
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let slice = file(b"short").slice(0, 100);
        let mut queue = OutQueue::new();
        queue.push_with_producer(FileProducer::new(slice));
        let error = queue.to_bytes().expect_err("the file is too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn discarding_forgets_everything() {
        let mut queue = OutQueue::new();
        queue.push(b"abc");
        queue.advance(1);
        queue.discard_buffers();
        assert!(queue.is_empty());
        queue.push(b"de");
        assert_eq!(queue.to_bytes().expect("bytes"), b"de");
    }

    /// In asynchat an empty piece is the end of its producer; here `None` is.
    #[test]
    fn an_empty_piece_does_not_end_its_producer() {
        #[derive(Debug)]
        struct Pieces(Vec<&'static [u8]>);
        impl Producer for Pieces {
            fn more(&mut self) -> io::Result<Option<Chunk>> {
                Ok(self.0.pop().map(|piece| Chunk::Bytes(piece.to_vec())))
            }
        }
        let mut queue = OutQueue::new();
        queue.push_with_producer(Pieces(vec![b"last", b"", b"first, "]));
        assert_eq!(queue.to_bytes().expect("bytes"), b"first, last");
    }

    /// In asynchat a `simple_producer` with a buffer size of 0 drops its data.
    #[test]
    fn a_simple_producer_hands_out_a_byte_at_least() {
        let mut queue = OutQueue::new();
        queue.push_with_producer(SimpleProducer::with_buffer_size(b"all".to_vec(), 0));
        assert_eq!(queue.to_bytes().expect("bytes"), b"all");
    }
}
