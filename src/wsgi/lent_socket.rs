//! The socket of a connection, lent by the loop to `write` of an application that runs on the loop (`--threads 0`).
//!
//! `write` has to send before it returns (PEP 3333), and the loop waits meanwhile. The loop lends the socket for one
//! step of the application and takes it back after that step. `write` sends through a copy of the descriptor, which is
//! closed then: an application that keeps `write` does not keep the connection open.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use super::outbox::Disconnected;
use crate::sys::{python, readiness, socket};

/// Bytes that may be left to the loop. With more, `write` waits for the client, and every other client waits with it.
const MAX_UNSENT: usize = 1024 * 1024;

/// The time after which a client that takes nothing counts as gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// The socket of a connection whose output queue is empty.
#[derive(Debug)]
pub(super) struct LentSocket {
    number: RawFd,
    /// Made by the first `write`: most applications call none.
    copy: Option<OwnedFd>,
    /// Bytes that were sent.
    pub(super) sent: u64,
}

impl LentSocket {
    pub(super) fn new(number: RawFd) -> Self {
        Self { number, copy: None, sent: 0 }
    }

    /// Sends what the socket takes, and leaves at most [`MAX_UNSENT`] bytes in `wire`.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn send(&mut self, wire: &mut Vec<u8>) -> Result<(), Disconnected> {
        let copy = match self.copy.take() {
            Some(copy) => copy,
            None => python::duplicate(self.number).map_err(|_| Disconnected)?,
        };
        let copy = &*self.copy.insert(copy);
        let file = copy.as_fd();
        loop {
            let (count, result) = send_all(file, wire);
            wire.drain(..count);
            self.sent += count as u64;
            match result {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(Disconnected),
                Err(_) if wire.len() > MAX_UNSENT => match readiness::wait_writable(file, PATIENCE) {
                    Ok(true) => {}
                    Ok(false) | Err(_) => return Err(Disconnected),
                },
                _ => return Ok(()),
            }
        }
    }
}

/// Returns how many bytes the socket took, and the error that ended it.
fn send_all(file: BorrowedFd<'_>, wire: &[u8]) -> (usize, io::Result<()>) {
    let mut count = 0;
    while count < wire.len() {
        match socket::send(file, &wire[count..], false) {
            Ok(taken) => count += taken,
            Err(error) => return (count, Err(error)),
        }
    }
    (count, Ok(()))
}
