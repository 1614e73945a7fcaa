//! The queue of output: `asynchat`'s `producer_fifo`.
//!
//! Pushed bytes are joined, so that the head of a response, its small body, and the small responses of a pipelined batch
//! leave in one `send` (asynchat's `push` for each header made seven). A producer is asked for its next piece when the
//! previous one has left: memory holds one piece at a time.

use std::collections::VecDeque;
use std::fmt;
use std::io;

use super::file_slice::FileSlice;
use super::producer::{Chunk, Producer};

/// The number of queued bytes from which on a connection makes no output and reads no input. It is the size of one send,
/// and the memory that a client costs which asks much and reads nothing.
pub const HIGH_WATER: u64 = 64 * 1024;

/// Fewer bytes are appended to the queued ones, since a send of their own costs more than the copy.
const WORTH_MOVING: usize = 16 * 1024;

/// The next piece of output, for one system call.
#[derive(Debug)]
pub enum Segment<'a> {
    /// Bytes in memory.
    Bytes {
        /// At least one byte.
        bytes: &'a [u8],
        /// Whether more output certainly follows, so that the kernel may wait to fill the segment (`MSG_MORE`).
        more: bool,
    },
    /// Bytes, and lent bytes that follow them, for one call: at least one byte each.
    Both {
        /// Sent first.
        first: &'a [u8],
        /// Sent when all of `first` was sent.
        second: &'a [u8],
        /// As for `Bytes`.
        more: bool,
    },
    /// A slice of a file, at least one byte, for sendfile(2).
    File(&'a FileSlice),
}

/// Bytes that another owner has made, and that are sent from its memory. They do not change, and are dropped when the
/// last of them has left. They are [`Send`] because a driver may move connections between threads.
pub trait LentBytes: AsRef<[u8]> + fmt::Debug + Send {}

impl<T: AsRef<[u8]> + fmt::Debug + Send> LentBytes for T {}

#[derive(Debug)]
enum QueueItem {
    Chunk(Chunk),
    /// With the length, so that to count the output takes no call.
    Lent(Box<dyn LentBytes>, usize),
    Producer(Box<dyn Producer>),
}

impl QueueItem {
    fn remaining(&self) -> u64 {
        // The length is asked for often, and nearly every item is of this kind.
        match self {
            Self::Chunk(Chunk::Bytes(bytes)) => bytes.len() as u64,
            other => other.remaining_of_others(),
        }
    }

    #[inline(never)]
    fn remaining_of_others(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.len(),
            Self::Lent(_, length) => *length as u64,
            Self::Producer(producer) => producer.remaining(),
        }
    }
}

/// A first-in, first-out queue of bytes, files and producers.
///
/// An empty one is three words: every connection has a queue, and most have nothing to send.
#[derive(Debug, Default)]
pub struct OutQueue {
    fifo: Option<Box<Fifo>>,
    /// The number of bytes that have left since the beginning.
    taken: u64,
    closing: bool,
    more_comes: bool,
}

/// The memory of a queue.
#[derive(Debug, Default)]
struct Fifo {
    items: VecDeque<QueueItem>,
    /// The bytes of the first item that have left, if it is in memory.
    sent: usize,
    /// An empty buffer, for the bytes that are queued next.
    spare: Vec<u8>,
}

/// The memory of an empty queue.
#[derive(Debug)]
pub struct Spare(Box<Fifo>);

/// The most queues whose memory is kept: in one turn of the loop hardly more connections have output at the same time.
const MAX_SPARES: usize = 64;

/// A pool of the memory that output queues use: an idle connection holds none, and a busy one need not allocate.
#[derive(Debug, Default)]
pub struct Spares(Vec<Spare>);

impl Spares {
    /// Gives memory to a queue without any, if the pool has any.
    pub fn lend(&mut self, queue: &mut OutQueue) {
        if queue.fifo.is_none()
            && let Some(Spare(fifo)) = self.0.pop()
        {
            queue.fifo = Some(fifo);
        }
    }

    /// Takes the memory of a queue back if the queue is empty.
    pub fn reclaim(&mut self, queue: &mut OutQueue) {
        if let Some(spare) = queue.reclaim()
            && self.0.len() < MAX_SPARES
        {
            self.0.push(spare);
        }
    }
}

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

    /// Queues bytes together with their memory, or copies them where that costs less. Leaves an empty buffer in `bytes`,
    /// with the memory of bytes that have left.
    pub fn push_from(&mut self, bytes: &mut Vec<u8>) {
        let fifo = self.fifo.get_or_insert_default();
        if !fifo.items.is_empty() && bytes.len() < WORTH_MOVING {
            fifo.tail().append(bytes);
        } else if !bytes.is_empty() {
            let bytes = std::mem::replace(bytes, std::mem::take(&mut fifo.spare));
            fifo.items.push_back(QueueItem::Chunk(Chunk::Bytes(bytes)));
        }
    }

    /// Queues bytes that stay where they are until they have left.
    pub fn push_lent(&mut self, bytes: Box<dyn LentBytes>) {
        let length = (*bytes).as_ref().len();
        self.push_back(QueueItem::Lent(bytes, length));
    }

    /// Takes the output of `other` over, and counts what has left it. This queue is empty.
    pub fn take_over(&mut self, other: Self) {
        debug_assert!(self.is_empty(), "the output would be lost");
        self.taken += other.taken;
        self.closing |= other.closing;
        self.more_comes |= other.more_comes;
        if other.fifo.is_some() {
            self.fifo = other.fifo;
        }
    }

    /// Queues a producer. (`async_chat.push_with_producer`)
    pub fn push_with_producer(&mut self, producer: impl Producer + 'static) {
        self.push_back(QueueItem::Producer(Box::new(producer)));
    }

    /// Queues a slice of a file, which the kernel sends.
    pub fn push_file(&mut self, slice: FileSlice) {
        if slice.len > 0 {
            self.push_back(QueueItem::Chunk(Chunk::File(slice)));
        }
    }

    fn push_back(&mut self, item: QueueItem) {
        self.fifo.get_or_insert_default().items.push_back(item);
    }

    /// Returns the buffer at the end of the queue, to append to.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        self.fifo.get_or_insert_default().tail()
    }

    fn items(&self) -> impl Iterator<Item = &QueueItem> {
        self.fifo.iter().flat_map(|fifo| &fifo.items)
    }

    /// Sets whether more will certainly be queued soon. The kernel then waits for it to fill a segment, for at most 200 ms
    /// (tcp(7), `MSG_MORE`), as it does where more is queued already.
    pub fn set_more_comes(&mut self, more_comes: bool) {
        self.more_comes = more_comes;
    }

    /// Ends the connection after the queued output has left. (`async_chat.close_when_done`)
    pub fn close_when_done(&mut self) {
        self.closing = true;
    }

    /// Whether [`OutQueue::close_when_done`] was called: then nothing more is to be queued.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the connection is to be closed now: the queue is closing and empty.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.closing && self.is_empty()
    }

    /// Discards the queued output and the end. (`async_chat.discard_buffers`)
    pub fn discard_buffers(&mut self) {
        self.fifo = None;
        (self.closing, self.more_comes) = (false, false);
    }

    /// Whether the queue is empty. A producer stays in it until its `more` returns `None`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fifo.as_ref().is_none_or(|fifo| fifo.items.is_empty())
    }

    /// Returns the number of queued bytes, as far as the producers know.
    #[must_use]
    pub fn len(&self) -> u64 {
        let sent = self.fifo.as_ref().map_or(0, |fifo| fifo.sent as u64);
        self.items().map(QueueItem::remaining).sum::<u64>() - sent
    }

    /// Whether at least [`HIGH_WATER`] bytes are queued.
    #[must_use]
    pub fn is_above_high_water(&self) -> bool {
        self.len() >= HIGH_WATER
    }

    /// Whether a producer or a file is queued: each may hold a descriptor.
    #[must_use]
    pub fn holds_more_than_bytes(&self) -> bool {
        !self.items().all(|item| matches!(item, QueueItem::Chunk(Chunk::Bytes(_)) | QueueItem::Lent(..)))
    }

    /// Returns the number of bytes that have left since the beginning.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the next segment has yet to be made, by a producer.
    pub(super) fn is_to_be_made(&self) -> bool {
        self.items().next().is_some_and(|item| matches!(item, QueueItem::Producer(_)))
    }

    /// Returns the next segment; asks the first producer for its next piece if necessary.
    ///
    /// # Errors
    /// As [`Producer::more`].
    pub fn front(&mut self) -> io::Result<Option<Segment<'_>>> {
        match &mut self.fifo {
            Some(fifo) => fifo.front(self.more_comes),
            None => Ok(None),
        }
    }

    /// Marks `count` bytes of the front segment as sent.
    pub fn advance(&mut self, count: usize) {
        self.taken += count as u64;
        match &mut self.fifo {
            Some(fifo) => fifo.advance(count),
            None => debug_assert!(count == 0, "sent from an empty queue"),
        }
    }

    /// Takes the memory out of an empty queue.
    pub fn reclaim(&mut self) -> Option<Spare> {
        if self.is_empty() { self.fifo.take().map(Spare) } else { None }
    }
}

impl Fifo {
    fn tail(&mut self) -> &mut Vec<u8> {
        if !matches!(self.items.back(), Some(QueueItem::Chunk(Chunk::Bytes(_)))) {
            let bytes = std::mem::take(&mut self.spare);
            self.items.push_back(QueueItem::Chunk(Chunk::Bytes(bytes)));
        }
        match self.items.back_mut() {
            Some(QueueItem::Chunk(Chunk::Bytes(bytes))) => bytes,
            _ => unreachable!("the last item was just made"),
        }
    }

    fn front(&mut self, more_comes: bool) -> io::Result<Option<Segment<'_>>> {
        self.refill()?;
        let next = self.items.get(1);
        let more = more_comes || next.is_some_and(|next| next.remaining() > 0);
        Ok(match self.items.front() {
            Some(QueueItem::Chunk(Chunk::Bytes(bytes))) => match next {
                Some(QueueItem::Lent(second, _)) if more => Some(Segment::Both {
                    first: &bytes[self.sent..],
                    second: (**second).as_ref(),
                    more: more_comes || self.items.get(2).is_some_and(|next| next.remaining() > 0),
                }),
                _ => Some(Segment::Bytes { bytes: &bytes[self.sent..], more }),
            },
            Some(QueueItem::Chunk(Chunk::File(slice))) => Some(Segment::File(slice)),
            Some(QueueItem::Lent(bytes, _)) => {
                Some(Segment::Bytes { bytes: &(**bytes).as_ref()[self.sent..], more })
            }
            Some(QueueItem::Producer(_)) | None => None,
        })
    }

    /// Makes the first item, if there is one, a piece of at least one byte.
    fn refill(&mut self) -> io::Result<()> {
        while let Some(first) = self.items.front_mut() {
            match first {
                QueueItem::Chunk(_) | QueueItem::Lent(..) if first.remaining() > self.sent as u64 => {
                    return Ok(());
                }
                QueueItem::Chunk(_) | QueueItem::Lent(..) => self.pop(),
                QueueItem::Producer(producer) => match producer.more()? {
                    Some(chunk) => self.items.push_front(QueueItem::Chunk(chunk)),
                    None => self.pop(),
                },
            }
        }
        Ok(())
    }

    fn advance(&mut self, count: usize) {
        match self.items.front_mut() {
            Some(QueueItem::Chunk(Chunk::Bytes(bytes))) => {
                self.sent += count;
                debug_assert!(self.sent <= bytes.len(), "sent more than there is");
                if self.sent == bytes.len() {
                    self.pop();
                }
            }
            Some(QueueItem::Chunk(Chunk::File(slice))) => {
                slice.advance(count as u64);
                if slice.len == 0 {
                    self.pop();
                }
            }
            Some(QueueItem::Lent(_, length)) => {
                self.sent += count;
                if self.sent == *length {
                    self.pop();
                }
            }
            Some(QueueItem::Producer(_)) | None => debug_assert!(count == 0, "sent from an empty queue"),
        }
    }

    fn pop(&mut self) {
        if let Some(QueueItem::Chunk(Chunk::Bytes(mut bytes))) = self.items.pop_front()
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
    use crate::chat::{FileProducer, SimpleProducer};
    use std::io::Write;

    /// Returns the bytes of the front segment, and whether more certainly follows.
    fn front(queue: &mut OutQueue) -> (Vec<u8>, bool) {
        match queue.front().expect("front").expect("a segment") {
            Segment::Bytes { bytes, more } => (bytes.to_vec(), more),
            Segment::Both { first, second, more } => ([first, b"|", second].concat(), more),
            segment @ Segment::File(_) => panic!("not {segment:?}"),
        }
    }

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
        assert_eq!(front(&mut queue), (b"head body ".to_vec(), true));
        assert_eq!(queue.to_bytes().expect("bytes"), b"head body file produced end");
        assert!(queue.is_empty());
        assert_eq!(queue.taken(), 27);
    }

    #[test]
    fn memory_is_exchanged() {
        let mut queue = OutQueue::new();
        let mut bytes = b"first ".to_vec();
        queue.push_from(&mut bytes);
        assert!(bytes.is_empty());
        bytes.extend_from_slice(b"few ");
        queue.push_from(&mut bytes);
        let mut many = vec![b'x'; WORTH_MOVING];
        queue.push_from(&mut many);
        assert_eq!(queue.len(), 10 + WORTH_MOVING as u64);
        assert_eq!(front(&mut queue), (b"first few ".to_vec(), true));
        queue.to_bytes().expect("bytes");
        queue.push_from(&mut Vec::new());
        assert!(queue.is_empty());
        // The memory of the bytes that have left is in the next buffer.
        let mut next = b"next".to_vec();
        queue.push_from(&mut next);
        assert!(next.is_empty() && next.capacity() >= 6);
    }

    /// Bytes that tell how many of them are left.
    #[derive(Debug)]
    struct Counted(std::sync::Arc<Vec<u8>>);

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[test]
    fn lent_bytes_are_sent_in_their_place_and_dropped_with_the_last() {
        let lent = std::sync::Arc::new(b"lent".to_vec());
        let mut queue = OutQueue::new();
        queue.push(b"before ");
        queue.push_lent(Box::new(Counted(lent.clone())));
        queue.push(b" between ");
        queue.push_lent(Box::new(Counted(std::sync::Arc::default())));
        queue.push_lent(Box::new(Counted(lent.clone())));
        assert_eq!((queue.len(), queue.holds_more_than_bytes()), (24, false));
        assert_eq!(front(&mut queue), (b"before |lent".to_vec(), true));
        queue.advance(3);
        assert_eq!(front(&mut queue), (b"ore |lent".to_vec(), true));
        queue.advance(4);
        queue.advance(1);
        assert_eq!(front(&mut queue), (b"ent".to_vec(), true));
        assert_eq!((queue.len(), std::sync::Arc::strong_count(&lent)), (16, 3));
        queue.advance(3);
        assert_eq!(std::sync::Arc::strong_count(&lent), 2);
        queue.advance(9);
        // The empty bytes are skipped.
        assert_eq!(front(&mut queue), (b"lent".to_vec(), false));
        queue.discard_buffers();
        assert_eq!(std::sync::Arc::strong_count(&lent), 1);
    }

    #[test]
    fn the_last_bytes_do_not_wait_for_more() {
        let mut queue = OutQueue::new();
        queue.push(b"x");
        queue.push_with_producer(SimpleProducer::new(Vec::new()));
        assert!(!front(&mut queue).1, "the producer may be empty");
        queue.close_when_done();
        assert!(!queue.is_done());
        queue.advance(1);
        assert!(queue.front().expect("front").is_none());
        assert!(queue.is_done());
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let slice = file(b"short").slice(0, 100);
        let mut queue = OutQueue::new();
        queue.push_with_producer(FileProducer::new(slice));
        let error = queue.to_bytes().expect_err("the file is too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    /// In asynchat an empty piece ends its producer; here `None` does.
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
    fn a_simple_producer_has_pieces_of_at_least_a_byte() {
        let mut queue = OutQueue::new();
        queue.push_with_producer(SimpleProducer::with_buffer_size(b"all".to_vec(), 0));
        assert_eq!(queue.to_bytes().expect("bytes"), b"all");
    }
}
