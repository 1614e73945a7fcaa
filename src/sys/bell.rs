//! A bell that one process rings, and processes that share it hear: eventfd(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A descriptor that an edge-triggered loop watches for input. It is made before the fork, and is never read from: each
/// ring is an event for a loop that waits for it ([`super::readiness`]), the first in the kernel's list. Outside Linux
/// nothing is heard.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// Returns a new bell.
    ///
    /// # Errors
    /// As eventfd(2).
    pub fn new() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::event::{EventfdFlags, eventfd};
            Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }
        #[cfg(not(target_os = "linux"))]
        {
            super::descriptor::pipe().map(|(read, _)| Self(read))
        }
    }

    /// Wakes a loop that watches the bell.
    pub fn ring(&self) {
        // It fails after 2⁶⁴ rings.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
