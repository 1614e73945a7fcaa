//! Input that has not become a frame yet.
//!
//! A worker reads into one scratch buffer and shares it among all its connections, so an idle connection
//! holds no buffer. [`InBuffer::open`] lays a [`Window`] over what is held and what has just come: usually
//! nothing is held, and the frames are read where they lie in the scratch buffer. What is left over when
//! the window closes is copied, and only that.
//!
//! The window carries the one cursor of the input. Whatever frames it, [`Window::find`] hands that cursor to the
//! terminator, so no byte is searched twice for the same terminator, and none is moved more than a constant number of
//! times, however finely the input is split.

use std::borrow::Cow;
use std::convert::Infallible;
use std::num::NonZeroU64;

/// The bytes that wait for the rest of their frame. Where none do it is one word.
#[derive(Debug, Default)]
pub struct InBuffer(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Where in `bytes` the unread ones begin.
    start: usize,
    /// How many unread bytes have been searched in vain.
    searched: usize,
    /// The peer sends no more.
    is_ended: bool,
}

impl InBuffer {
    /// An empty buffer; it allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.bytes.len() - held.start)
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that the peer has closed its sending half: what is here is all that ever will be.
    pub fn end(&mut self) {
        self.0.get_or_insert_default().is_ended = true;
    }

    /// Whether [`InBuffer::end`] was called.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.0.as_ref().is_some_and(|held| held.is_ended)
    }

    /// Throws everything away (`async_chat.discard_buffers`).
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Sets the cursor back: for another terminator, the unread bytes are new.
    pub fn search_again(&mut self) {
        if let Some(held) = &mut self.0 {
            held.searched = 0;
        }
    }

    /// Lays a window over the held bytes and `incoming`. Give it back with [`InBuffer::close`]: what it
    /// has not consumed would be lost otherwise.
    pub fn open<'a>(&mut self, incoming: &'a [u8]) -> Window<'a> {
        let Some(held) = self.0.take() else {
            return Window { held: Vec::new(), incoming, start: 0, searched: 0, is_ended: false };
        };
        let Held { mut bytes, mut start, searched, is_ended } = *held;
        if !incoming.is_empty() {
            // Moved at most once for every byte consumed before it: the copying stays linear.
            if start > bytes.len() / 2 {
                bytes.drain(..start);
                start = 0;
            }
            bytes.extend_from_slice(incoming);
        }
        Window { held: bytes, incoming, start, searched, is_ended }
    }

    /// Takes the unread bytes of a window back.
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

/// The unread bytes of one turn, in one piece.
#[derive(Debug)]
#[must_use = "give it back to InBuffer::close"]
pub struct Window<'a> {
    held: Vec<u8>,
    incoming: &'a [u8],
    start: usize,
    /// The cursor: how many of the unread bytes have been searched in vain.
    searched: usize,
    is_ended: bool,
}

impl Window<'_> {
    /// All unread bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let all = if self.held.is_empty() { self.incoming } else { &self.held };
        &all[self.start..]
    }

    /// Whether the peer sends no more.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Looks for the end of the frame that the unread bytes begin with. Nothing is consumed; the next call goes on
    /// where this one ended.
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

    /// Sets the cursor back: the same bytes will be searched again.
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

/// The front of the unread bytes, as a terminator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The frame ends here.
    Whole {
        /// Bytes of the frame, without its terminator.
        data: usize,
        /// Bytes of the terminator, which follow the data and belong to no frame.
        terminator: usize,
    },
    /// The end of the frame has not come.
    Part {
        /// Bytes that belong to the frame, wherever it ends.
        data: usize,
    },
}

/// Finds the end of a frame in a stream that comes in pieces of any size.
///
/// [`Terminator`] implements it for asynchat's three kinds of frames; `http1` for the head of a request and for a line
/// of a chunked body, which refuse malformed input as early as it can be told.
pub trait Terminate {
    /// Why the input cannot become a frame.
    type Error;

    /// Looks for the end of the frame that `unread` begins with.
    ///
    /// `searched` is the cursor of the input: the number of bytes at the front of `unread` that earlier calls have
    /// looked at. The implementation moves it on, so that no byte is searched twice. The caller consumes the `data` (and
    /// the `terminator`) of the result before the next call, or nothing of it.
    ///
    /// # Errors
    /// When no continuation of `unread` is a valid frame.
    fn find(&mut self, unread: &[u8], searched: &mut usize) -> Result<Frame, Self::Error>;
}

/// What ends the frame that is being received (`async_chat.set_terminator`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// These bytes end the frame and belong to no frame. An empty string means [`Terminator::None`].
    Bytes(Cow<'static, [u8]>),
    /// The frame is this number of bytes. Python's 0 meant "collect everything", the trap that a
    /// `Content-Length: 0` fell into; here it cannot be written.
    Length(NonZeroU64),
    /// Nothing does: everything is data, until the peer closes.
    None,
}

impl Terminator {
    /// A terminator that is a constant of the program.
    #[must_use]
    pub const fn bytes(bytes: &'static [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }
}

impl Terminate for Terminator {
    type Error = Infallible;

    /// A [`Terminator::Length`] counts down: after each call it is the length that is left, and [`Terminator::None`]
    /// after the last one.
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
    // The terminator may have begun just before the place where the last search ended.
    let from = searched.saturating_sub(end.len() - 1);
    // Terminators are short and their last byte is rare: looking for that one is quicker than setting up a search for
    // all of them.
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

/// How many bytes at the end of `haystack` could be the beginning of `needle`: what must wait for more
/// input before it is known to be data. (`asynchat.find_prefix_at_end`)
#[must_use]
pub fn find_prefix_at_end(haystack: &[u8], needle: &[u8]) -> usize {
    let longest = needle.len().saturating_sub(1).min(haystack.len());
    (1..=longest).rev().find(|length| haystack.ends_with(&needle[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the first frame, its terminator included, if all of it is here.
    fn find(window: &mut Window<'_>, end: &'static [u8]) -> Option<usize> {
        match window.find(&mut Terminator::bytes(end)) {
            Ok(Frame::Whole { data, terminator }) => Some(data + terminator),
            Ok(Frame::Part { .. }) => None,
        }
    }

    /// Feeds `input` in pieces of `step` bytes and returns the frames.
    fn frames(input: &[u8], step: usize) -> (Vec<Vec<u8>>, usize) {
        let mut buffer = InBuffer::new();
        let mut frames = Vec::new();
        for piece in input.chunks(step) {
            let mut window = buffer.open(piece);
            while let Some(length) = find(&mut window, b"\r\n\r\n") {
                frames.push(window.bytes()[..length].to_vec());
                window.consume(length);
            }
            buffer.close(window);
        }
        (frames, buffer.len())
    }

    #[test]
    fn every_split_gives_the_same_frames() {
        let input = b"one\r\n\r\ntwo\r\n\r\r\n\r\n\r\n\r\nrest\r\n\r";
        let whole = frames(input, input.len());
        assert_eq!(whole.0, [&b"one\r\n\r\n"[..], b"two\r\n\r\r\n\r\n", b"\r\n\r\n"]);
        assert_eq!(whole.1, b"rest\r\n\r".len());
        for step in 1..input.len() {
            assert_eq!(frames(input, step), whole, "in steps of {step}");
        }
    }

    #[test]
    fn nothing_is_held_when_all_is_read() {
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

    /// RULES A66: a megabyte, byte by byte, searched after each byte, must look at each byte only a few
    /// times. Searching from the start every time would be 5·10¹¹ comparisons and never end here.
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
    fn frames_that_wait_are_not_copied_again_for_each_frame() {
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
    fn the_end_of_the_input_is_remembered() {
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
