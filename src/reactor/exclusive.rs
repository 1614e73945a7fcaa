//! The place of one process in the kernel's list of processes that wait for the same listening socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use mio::Registry;
use rustix::io::Errno;

use crate::sys::bell::Bell;
use crate::sys::readiness::{self, Trigger};

/// A listening socket in epoll with `EPOLLEXCLUSIVE`, and the bell beside it.
///
/// The kernel wakes the first process of the list that waits in epoll: for a connection, and for a ring. A process that was
/// woken for a connection that another one should take leaves the list and rings, so the next process is woken.
#[derive(Debug)]
pub(super) struct ExclusiveWatch {
    bell: Option<Bell>,
    /// The token, once the loop has registered the listener.
    token: Option<usize>,
    is_on: bool,
}

impl ExclusiveWatch {
    pub(super) fn new(bell: Option<Bell>) -> Self {
        Self { bell, token: None, is_on: false }
    }

    /// Whether other processes may share the socket.
    pub(super) fn is_shared(&self) -> bool {
        self.bell.is_some()
    }

    /// Has epoll report with `token` from now on.
    pub(super) fn register(
        &mut self,
        registry: &Registry,
        socket: BorrowedFd<'_>,
        token: usize,
    ) -> io::Result<()> {
        self.token = Some(token);
        self.on(registry, socket)
    }

    /// Enters the list, at its end, unless this process is in it or the loop does not know the listener yet.
    pub(super) fn on(&mut self, registry: &Registry, socket: BorrowedFd<'_>) -> io::Result<()> {
        let Some(token) = self.token.filter(|_| !self.is_on) else {
            return Ok(());
        };
        add(registry, socket, token, Trigger::Level)?;
        self.is_on = true;
        self.bell.iter().try_for_each(|bell| add(registry, bell.as_fd(), token, Trigger::Edge))
    }

    /// Leaves the list. That fails only when this process is not in it.
    pub(super) fn off(&mut self, registry: &Registry, socket: BorrowedFd<'_>) {
        if std::mem::take(&mut self.is_on) {
            let _ = readiness::remove(registry, socket);
            self.bell.iter().for_each(|bell| drop(readiness::remove(registry, bell.as_fd())));
        }
    }

    /// Moves this process to the end of the list, if it is in it.
    pub(super) fn move_back(&mut self, registry: &Registry, socket: BorrowedFd<'_>) -> io::Result<()> {
        let Some(token) = self.token.filter(|_| self.is_on) else {
            return Ok(());
        };
        let _ = readiness::remove(registry, socket);
        self.is_on = false;
        add(registry, socket, token, Trigger::Level)?;
        self.is_on = true;
        Ok(())
    }

    /// Wakes the next process of the list, in place of this one.
    pub(super) fn pass_on(&self) {
        self.bell.iter().for_each(Bell::ring);
    }
}

/// A descriptor that could not be removed is there already.
fn add(registry: &impl AsRawFd, file: BorrowedFd<'_>, token: usize, trigger: Trigger) -> io::Result<()> {
    match readiness::add_exclusive(registry, file, token, trigger) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => Ok(()),
        result => result,
    }
}
