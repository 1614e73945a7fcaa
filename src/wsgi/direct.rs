//! `write` of an application on the loop: it has to send before it returns, and the loop stands still meanwhile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::outbox::Gone;
use crate::sys::{python, readiness, socket};

/// So many bytes may wait for the loop; for more the client is waited for, and everyone else with him.
const MOST: usize = 1024 * 1024;

/// A client that takes nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// The socket of the connection.
#[derive(Debug)]
pub(super) struct Direct {
    number: i32,
    /// Made when it is needed, which is rare.
    copy: Option<OwnedFd>,
    sent: u64,
}

impl Direct {
    /// For a connection that has nothing else to send.
    pub(super) fn new(number: i32) -> Self {
        Self { number, copy: None, sent: 0 }
    }

    /// Sends as much as the socket takes; the rest stays.
    pub(super) fn send(&mut self, wire: &mut Vec<u8>) -> Result<(), Gone> {
        let copy = match self.copy.take() {
            Some(copy) => copy,
            None => python::duplicate(self.number).map_err(|_| Gone)?,
        };
        let copy = &*self.copy.insert(copy);
        let file = copy.as_fd();
        loop {
            let (count, result) = send_all(file, wire);
            wire.drain(..count);
            self.sent += count as u64;
            match result {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(Gone),
                Err(_) if wire.len() > MOST => match readiness::wait_writable(file, PATIENCE) {
                    Ok(true) => {}
                    Ok(false) | Err(_) => return Err(Gone),
                },
                _ => return Ok(()),
            }
        }
    }

    pub(super) fn take_sent(&mut self) -> u64 {
        std::mem::take(&mut self.sent)
    }
}

/// Answers how many bytes were taken, and why not all were.
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
