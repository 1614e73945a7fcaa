//! A token that one of several processes takes: the first worker that cannot load the application reports it for all.

use std::os::fd::OwnedFd;

use crate::sys::descriptor;

/// The token, made before the fork.
#[derive(Debug)]
pub(super) struct LoadToken {
    take: OwnedFd,
    /// Kept open, so that the other processes find an empty pipe rather than its end.
    _give: OwnedFd,
}

impl LoadToken {
    pub(super) fn new() -> Option<Self> {
        let (take, give) = descriptor::pipe().ok()?;
        rustix::io::write(&give, b"!").ok()?;
        Some(Self { take, _give: give })
    }

    /// Whether this process is the first to ask.
    pub(super) fn is_ours(&self) -> bool {
        rustix::io::read(&self.take, &mut [0]) == Ok(1)
    }
}
