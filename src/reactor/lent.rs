//! What a loop lends to the hooks that it calls.

use super::calls::Calls;
use super::dispatcher::Dispatcher;
use crate::clock::Now;

/// Bytes of the buffer that all channels of a loop read into. What comes in one round trip fits.
/// (`async_chat.ac_in_buffer_size`)
const SCRATCH: usize = 64 * 1024;

/// The part of a loop that hooks reach, through a [`super::Context`].
#[derive(Debug)]
pub(super) struct Core {
    pub(super) now: Now,
    /// Counts the turns, from 1; it may wrap.
    pub(super) turn: u32,
    pub(super) scratch: Box<[u8]>,
    pub(super) adopted: Vec<Box<dyn Dispatcher>>,
    pub(super) stopped: bool,
    pub(super) calls: Calls,
}

impl Core {
    pub(super) fn new() -> Self {
        Self {
            now: Now::ask(),
            turn: 1,
            scratch: vec![0; SCRATCH].into(),
            adopted: Vec::new(),
            stopped: false,
            calls: Calls::default(),
        }
    }
}
