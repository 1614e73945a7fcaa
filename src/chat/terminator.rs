//! What ends a frame: `asynchat`'s terminator, and the trait that it shares with HTTP's own two.

use std::borrow::Cow;
use std::convert::Infallible;
use std::num::NonZeroU64;

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
