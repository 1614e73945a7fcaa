//! What ends a frame: `asynchat`'s terminator.

use std::borrow::Cow;
use std::num::NonZeroU64;

/// What ends the frame that is being received (`async_chat.set_terminator`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// These bytes end the frame and belong to no frame. An empty string means [`Terminator::None`].
    Bytes(Cow<'static, [u8]>),
    /// So many bytes are the frame. Python's 0 meant "collect everything", the trap that a
    /// `Content-Length: 0` fell into; here it cannot be written.
    Length(NonZeroU64),
    /// Nothing does: everything is data, until the peer closes.
    None,
}

impl Terminator {
    /// A terminator that stands in the program.
    #[must_use]
    pub const fn bytes(bytes: &'static [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
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
