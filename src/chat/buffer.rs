//! Input that has not become a frame yet.
//!
//! A worker reads into one scratch buffer and shares it among all its connections, so an idle connection
//! holds no buffer. [`InBuffer::open`] lays a [`Window`] over what is held and what has just come: usually
//! nothing is held, and the frames are read where they lie in the scratch buffer. What is left over when
//! the window closes is copied, and only that.
//!
//! No byte is searched twice for the same terminator, and none is moved more than a constant number of
//! times, however finely the input is split.

use memchr::memchr_iter;

/// The bytes that wait for the rest of their frame. Where none do it is one word.
#[derive(Debug, Default)]
pub struct InBuffer(Option<Box<Held>>);

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    /// Where in `bytes` the unread ones begin.
    start: usize,
    /// How many unread bytes have been searched in vain.
    searched: usize,
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

    /// Throws everything away (`async_chat.discard_buffers`).
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Forgets what has been searched: for another terminator, the unread bytes are new.
    pub fn search_anew(&mut self) {
        if let Some(held) = &mut self.0 {
            held.searched = 0;
        }
    }

    /// Lays a window over the held bytes and `incoming`. Give it back with [`InBuffer::close`]: what it
    /// has not consumed would be lost otherwise.
    pub fn open<'a>(&mut self, incoming: &'a [u8]) -> Window<'a> {
        let Some(held) = self.0.take() else {
            return Window { held: Vec::new(), incoming, start: 0, searched: 0 };
        };
        let Held { mut bytes, mut start, searched } = *held;
        if !incoming.is_empty() {
            // Moved at most once for every byte consumed before it: the copying stays linear.
            if start > bytes.len() / 2 {
                bytes.drain(..start);
                start = 0;
            }
            bytes.extend_from_slice(incoming);
        }
        Window { held: bytes, incoming, start, searched }
    }

    /// Takes the unread bytes of a window back.
    pub fn close(&mut self, window: Window<'_>) {
        let Window { held, incoming, start, searched } = window;
        let (bytes, start) = match held.is_empty() {
            true => (incoming[start..].to_vec(), 0),
            false => (held, start),
        };
        self.0 = (start < bytes.len()).then(|| Box::new(Held { bytes, start, searched }));
    }
}

/// The unread bytes of one turn, in one piece.
#[derive(Debug)]
#[must_use = "give it back to InBuffer::close"]
pub struct Window<'a> {
    held: Vec<u8>,
    incoming: &'a [u8],
    start: usize,
    searched: usize,
}

impl Window<'_> {
    /// All unread bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let all = if self.held.is_empty() { self.incoming } else { &self.held };
        &all[self.start..]
    }

    /// The length of the first frame, `terminator` included, if all of it is here.
    ///
    /// The search goes on where the last one ended; consuming anything starts it anew.
    pub fn find(&mut self, terminator: &[u8]) -> Option<usize> {
        // The terminator may have begun just before the place where the last search ended.
        let from = self.searched.saturating_sub(terminator.len().saturating_sub(1));
        let bytes = self.bytes();
        let Some(last) = terminator.last() else {
            return Some(0);
        };
        // Terminators are short and their last byte is rare: looking for that one is quicker than setting up
        // a search for all of them.
        let end = memchr_iter(*last, &bytes[from..])
            .map(|at| from + at + 1)
            .find(|end| bytes[from..*end].ends_with(terminator));
        if end.is_none() {
            self.searched = bytes.len();
        }
        end
    }

    /// Marks the first `count` bytes as read.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.bytes().len(), "consumed more than there is");
        self.start += count;
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in pieces of `step` bytes and answers the frames.
    fn frames(input: &[u8], step: usize) -> (Vec<Vec<u8>>, usize) {
        let mut buffer = InBuffer::new();
        let mut frames = Vec::new();
        for piece in input.chunks(step) {
            let mut window = buffer.open(piece);
            while let Some(length) = window.find(b"\r\n\r\n") {
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
        assert_eq!(window.find(b"\r\n"), None);
        buffer.close(window);
        let mut window = buffer.open(b"b\r\n");
        assert_eq!(window.find(b"\r\n"), Some(4));
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
            assert_eq!(window.find(b"\r\n\r\n"), None);
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
            let length = window.find(b"\r\n").expect("a frame");
            window.consume(length);
            count += 1;
            buffer.close(window);
        }
        assert_eq!(count, 100_000);
    }
}
