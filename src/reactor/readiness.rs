//! What a channel is ready for: the two bits that make an edge-triggered loop safe.

use mio::event::Event;

use crate::recording::ready;

/// What a channel can do without blocking, as far as the loop knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// A read may return something.
    pub readable: bool,
    /// A write may take something.
    pub writable: bool,
    /// The peer has closed its half: the end of file follows what can be read, and no further event announces it.
    pub read_closed: bool,
    /// An event has reported input, of which nothing has been read yet.
    pub(crate) reported: bool,
}

impl Readiness {
    /// Of a new channel: its first calls find out.
    pub(crate) const ALL: Self = Self { readable: true, writable: true, read_closed: false, reported: false };

    /// What an event reports, in bits of [`crate::recording::ready`].
    pub(super) fn bits_of(event: &Event) -> u8 {
        let mut reported = Self { readable: false, writable: false, read_closed: false, reported: false };
        reported.note(event);
        reported.bits() | if event.is_error() { ready::ERROR } else { 0 }
    }

    /// The bits of [`crate::recording::ready`].
    #[must_use]
    pub fn bits(self) -> u8 {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        bit(self.readable, ready::READ)
            | bit(self.writable, ready::WRITE)
            | bit(self.read_closed, ready::READ_CLOSED)
    }

    /// Adds what an event reports. Only a call that would block takes it away again.
    pub(super) fn note(&mut self, event: &Event) {
        // The next read or write returns the error.
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.read_closed |= event.is_read_closed();
        self.reported |= event.is_readable();
    }
}
