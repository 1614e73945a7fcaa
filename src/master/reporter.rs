//! A child process that is no worker, and reports to the master through a pipe: a successor, or a rehearsal of a reload.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use crate::sys::descriptor;
use crate::sys::process::{Exit, Pid};

/// The child, and what it has reported so far.
#[derive(Debug)]
pub(super) struct Reporter {
    pub(super) pid: Pid,
    report: OwnedFd,
    /// When it has taken too long.
    pub(super) deadline: Instant,
    pub(super) received: Vec<u8>,
    /// The other end of the pipe is closed.
    closed: bool,
    /// How it has ended, if it has.
    pub(super) exit: Option<Exit>,
}

impl Reporter {
    pub(super) fn new(pid: Pid, report: OwnedFd, deadline: Instant) -> Self {
        Self { pid, report, deadline, received: Vec::new(), closed: false, exit: None }
    }

    /// The pipe, while it is open.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        (!self.closed).then_some(self.report.as_fd())
    }

    /// Reads what has come.
    pub(super) fn read(&mut self) {
        let received = &mut self.received;
        let open = descriptor::drain_pipe(self.report.as_fd(), |bytes| received.extend_from_slice(bytes));
        self.closed |= !matches!(open, Ok(true));
    }

    /// All that has come, as one line or several.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into()
    }
}
