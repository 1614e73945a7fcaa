//! Input, and the terminators that divide it into frames.
//!
//! All connections of a worker read into the same scratch buffer, so an idle connection holds no buffer.
//! [`InBuffer::open`] lays a [`Window`] over the held and the received bytes. Usually none are held, and the frames are
//! read in the scratch buffer. Only the bytes that are unread when the window closes are copied.
//!
//! The window has the one cursor of the input, and [`Window::find`] passes it to the terminator. At any cut of the input,
//! each byte is therefore searched once for a terminator, and moved at most a constant number of times.

use std::borrow::Cow;
use std::convert::Infallible;
use std::num::NonZeroU64;

/// The bytes that wait for the rest of their frame. An empty buffer is one word.
#[derive(Debug, Default)]
pub struct InBuffer(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// The index of the first unread byte.
    start: usize,
    /// The number of unread bytes that contain no terminator.
    searched: usize,
    is_ended: bool,
}

impl InBuffer {
    /// An empty buffer; it allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Returns the number of held bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.bytes.len() - held.start)
    }

    /// Whether no bytes are held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that the peer has closed its sending half: no more bytes will come.
    pub fn end(&mut self) {
        self.0.get_or_insert_default().is_ended = true;
    }

    /// Whether [`InBuffer::end`] was called.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.0.as_ref().is_some_and(|held| held.is_ended)
    }

    /// Discards all bytes. (`async_chat.discard_buffers`)
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Sets the cursor back, so that the unread bytes are searched for another terminator.
    pub fn search_again(&mut self) {
        if let Some(held) = &mut self.0 {
            held.searched = 0;
        }
    }

    /// Lays a window over the held bytes and `incoming`. The caller returns it with [`InBuffer::close`], which keeps the
    /// unread bytes.
    pub fn open<'a>(&mut self, incoming: &'a [u8]) -> Window<'a> {
        let Some(held) = self.0.take() else {
            return Window { held: Vec::new(), incoming, start: 0, searched: 0, is_ended: false };
        };
        let Held { mut bytes, mut start, searched, is_ended } = *held;
        if !incoming.is_empty() {
            // Each byte is moved at most once for a byte consumed before it: the copying is linear.
            if start > bytes.len() / 2 {
                bytes.drain(..start);
                start = 0;
            }
            bytes.extend_from_slice(incoming);
        }
        Window { held: bytes, incoming, start, searched, is_ended }
    }

    /// Keeps the unread bytes of a window.
    pub fn close(&mut self, window: Window<'_>) {
        let Window { held, incoming, start, searched, is_ended } = window;
        let (bytes, start) = match held.is_empty() {
            true => (incoming[start..].to_vec(), 0),
            false => (held, start),
        };
        let is_needed = start < bytes.len() || is_ended;
        self.0 = is_needed.then(|| Box::new(Held { bytes, start, searched, is_ended }));
    }
}

/// The unread bytes of one turn, in one slice.
#[derive(Debug)]
#[must_use = "return it with InBuffer::close"]
pub struct Window<'a> {
    held: Vec<u8>,
    incoming: &'a [u8],
    start: usize,
    /// The cursor: the number of unread bytes that contain no terminator.
    searched: usize,
    is_ended: bool,
}

impl Window<'_> {
    /// Returns the unread bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let all = if self.held.is_empty() { self.incoming } else { &self.held };
        &all[self.start..]
    }

    /// Whether the peer has closed its sending half.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Searches for the end of the first frame, from the cursor on. Nothing is consumed.
    ///
    /// # Errors
    /// As [`Terminate::find`].
    #[inline]
    pub fn find<T: Terminate>(&mut self, terminator: &mut T) -> Result<Frame, T::Error> {
        let mut searched = self.searched;
        let frame = terminator.find(self.bytes(), &mut searched);
        self.searched = searched;
        frame
    }

    /// Sets the cursor back, so that the same bytes are searched again.
    pub fn search_again(&mut self) {
        self.searched = 0;
    }

    /// Marks the first `count` bytes as read, and sets the cursor back.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.bytes().len(), "consumed more than there is");
        self.start += count;
        self.searched = 0;
    }
}

/// The result of [`Terminate::find`]: the frame at the front of the unread bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// All of the frame has come.
    Whole {
        /// The number of bytes in the frame, without its terminator.
        data: usize,
        /// The number of bytes in the terminator, which follow the data and belong to no frame.
        terminator: usize,
    },
    /// The end of the frame has not come.
    Part {
        /// The number of bytes that certainly belong to the frame.
        data: usize,
    },
}

/// Finds the end of a frame in a stream that comes in pieces of any size.
///
/// [`Terminator`] implements it for asynchat's three kinds of frames; `http1` implements it for the head of a request and
/// for a line of a chunked body, and refuses malformed input before the end of the frame.
pub trait Terminate {
    /// The reason why the input cannot become a frame.
    type Error;

    /// Searches for the end of the frame at the front of `unread`.
    ///
    /// `searched` is the cursor of the input: the number of bytes at the front of `unread` that earlier calls have
    /// searched. The implementation moves it on, so that each byte is searched once. Before the next call the caller
    /// consumes the `data` (and the `terminator`) of the result, or nothing.
    ///
    /// # Errors
    /// If no continuation of `unread` is a valid frame.
    fn find(&mut self, unread: &[u8], searched: &mut usize) -> Result<Frame, Self::Error>;
}

/// The end of the frame that is being received. (`async_chat.set_terminator`)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// These bytes end the frame and belong to no frame. An empty string means [`Terminator::None`].
    Bytes(Cow<'static, [u8]>),
    /// The frame is this number of bytes. Python's 0 means "collect everything", which is wrong for `Content-Length: 0`;
    /// this type has no 0.
    Length(NonZeroU64),
    /// All input is data, until the peer closes.
    None,
}

impl Terminator {
    /// A terminator of constant bytes.
    #[must_use]
    pub const fn bytes(bytes: &'static [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }
}

impl Terminate for Terminator {
    type Error = Infallible;

    /// Counts a [`Terminator::Length`] down: after each call it is the length that is missing, and [`Terminator::None`]
    /// after the last byte.
    fn find(&mut self, unread: &[u8], searched: &mut usize) -> Result<Frame, Infallible> {
        Ok(match self {
            Self::Bytes(end) if !end.is_empty() => find_bytes(end, unread, searched),
            Self::Length(left) => {
                let data = usize::try_from(left.get()).map_or(unread.len(), |left| left.min(unread.len()));
                match NonZeroU64::new(left.get() - data as u64) {
                    Some(rest) => {
                        *left = rest;
                        Frame::Part { data }
                    }
                    None => {
                        *self = Self::None;
                        Frame::Whole { data, terminator: 0 }
                    }
                }
            }
            Self::Bytes(_) | Self::None => Frame::Part { data: unread.len() },
        })
    }
}

fn find_bytes(end: &[u8], unread: &[u8], searched: &mut usize) -> Frame {
    // The terminator may have begun before the end of the last search.
    let from = searched.saturating_sub(end.len() - 1);
    // Terminators are short and their last byte is rare: a search for that byte costs less than to set up one for all.
    let found = memchr::memchr_iter(end[end.len() - 1], &unread[from..])
        .map(|at| from + at + 1)
        .find(|at| unread[from..*at].ends_with(end));
    match found {
        Some(at) => Frame::Whole { data: at - end.len(), terminator: end.len() },
        None => {
            *searched = unread.len();
            Frame::Part { data: unread.len() - find_prefix_at_end(unread, end) }
        }
    }
}

/// Returns how many bytes at the end of `haystack` may be the beginning of `needle`: these may be data or terminator,
/// which the next bytes decide. (`asynchat.find_prefix_at_end`)
#[must_use]
pub fn find_prefix_at_end(haystack: &[u8], needle: &[u8]) -> usize {
    let longest = needle.len().saturating_sub(1).min(haystack.len());
    (1..=longest).rev().find(|length| haystack.ends_with(&needle[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the length of the first frame, with its terminator, if it is whole.
    fn find(window: &mut Window<'_>, end: &'static [u8]) -> Option<usize> {
        match window.find(&mut Terminator::bytes(end)) {
            Ok(Frame::Whole { data, terminator }) => Some(data + terminator),
            Ok(Frame::Part { .. }) => None,
        }
    }

    #[test]
    fn an_empty_buffer_holds_no_memory() {
        let mut buffer = InBuffer::new();
        let mut window = buffer.open(b"a");
        assert_eq!(find(&mut window, b"\r\n"), None);
        buffer.close(window);
        let mut window = buffer.open(b"b\r\n");
        assert_eq!(find(&mut window, b"\r\n"), Some(4));
        window.consume(4);
        buffer.close(window);
        assert!(buffer.0.is_none(), "an idle connection holds no buffer");
    }

    /// RULES A66: in a megabyte that comes byte by byte, each byte is searched only a few times. To search from the start
    /// each time takes 5·10¹¹ comparisons, and this test would not end.
    #[test]
    fn searching_is_linear() {
        let mut buffer = InBuffer::new();
        for _ in 0..1 << 20 {
            let mut window = buffer.open(b"x");
            assert_eq!(find(&mut window, b"\r\n\r\n"), None);
            buffer.close(window);
        }
        assert_eq!(buffer.len(), 1 << 20);
    }

    #[test]
    fn waiting_frames_are_copied_once() {
        let mut buffer = InBuffer::new();
        let input = b"x\r\n".repeat(100_000);
        let window = buffer.open(&input);
        buffer.close(window);
        let mut count = 0;
        while !buffer.is_empty() {
            let mut window = buffer.open(b"");
            let length = find(&mut window, b"\r\n").expect("a frame");
            window.consume(length);
            count += 1;
            buffer.close(window);
        }
        assert_eq!(count, 100_000);
    }

    #[test]
    fn the_end_of_the_input() {
        let mut buffer = InBuffer::new();
        buffer.end();
        for piece in [&b""[..], b"x", b""] {
            let mut window = buffer.open(piece);
            assert!(window.is_ended());
            window.consume(window.bytes().len());
            buffer.close(window);
            assert!(buffer.is_ended() && buffer.is_empty());
        }
    }

    #[test]
    fn prefixes() {
        assert_eq!(find_prefix_at_end(b"qwerty\r", b"\r\n"), 1);
        assert_eq!(find_prefix_at_end(b"qwertydkjf", b"\r\n"), 0);
        assert_eq!(find_prefix_at_end(b"a\r\n\r", b"\r\n\r\n"), 3);
        assert_eq!(find_prefix_at_end(b"\r\n\r\n", b"\r\n\r\n"), 2, "the whole needle is no prefix");
        assert_eq!(find_prefix_at_end(b"", b"\r\n"), 0);
        assert_eq!(find_prefix_at_end(b"x", b""), 0);
    }
}
