//! What a slow peer has acknowledged of the output.

use crate::clock::Instant;

/// The result of the last look at a peer.
#[derive(Debug)]
pub(super) struct Sight {
    /// When it was.
    pub(super) at: Instant,
    /// The number of acknowledged bytes, counted as [`crate::chat::OutQueue::taken`] counts.
    pub(super) acknowledged: u64,
    /// The last look that found more acknowledged bytes than the one before.
    pub(super) moved: Instant,
}
