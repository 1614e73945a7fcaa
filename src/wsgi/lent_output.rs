//! The output of a connection, lent by the loop to `write` of an application that runs on the loop (`--threads 0`).
//!
//! PEP 3333 wants a block to be given to the operating system before `write` returns, or to be sent by another thread
//! meanwhile. The loop waits for the application, so `write` sends. The loop moves the connection's output queue to the
//! response for one step of the application, and back after that step: what was queued before leaves first, and an
//! application that keeps `write` has nothing to send with. The socket stays the connection's: `write` borrows its
//! descriptor for each call. Where a layer such as TLS is over the socket, only the loop can send, after the step.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use super::outbox::Disconnected;
use super::wire::FramedBytes;
use crate::chat::{OutQueue, Segment};
use crate::clock::Instant;
use crate::sys::{python, readiness, socket};

/// Bytes that may be left to the loop. With more, `write` waits for the client, and every other client waits with it.
const MAX_UNSENT: u64 = 1024 * 1024;

/// The longest time that the loop waits for one client in one step of the application.
pub(super) const MAX_PATIENCE: Duration = Duration::from_secs(10);

/// The output of a connection, for one step of the application.
#[derive(Debug)]
pub(super) struct LentOutput {
    queue: OutQueue,
    socket: RawFd,
    /// How long the loop may still wait.
    patience: Duration,
}

impl LentOutput {
    /// `socket` stays open until [`Self::into_queue`]. For `patience` in all, the loop waits for a client that reads slowly.
    pub(super) fn new(queue: OutQueue, socket: RawFd, patience: Duration) -> Self {
        Self { queue, socket, patience }
    }

    pub(super) fn into_queue(self) -> OutQueue {
        self.queue
    }

    /// Sends what the socket takes, and leaves at most [`MAX_UNSENT`] bytes to the loop. Leaves all of them if the socket has
    /// layers, such as TLS.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn send(&mut self, wire: &mut FramedBytes) -> Result<(), Disconnected> {
        wire.move_to(&mut self.queue);
        if self.socket < 0 {
            return Ok(());
        }
        let (queue, patience) = (&mut self.queue, &mut self.patience);
        python::borrow(self.socket, |socket| {
            while !send_all(socket, queue)? && queue.len() > MAX_UNSENT {
                let begun = Instant::now();
                if patience.is_zero() || !readiness::wait_writable(socket, *patience)? {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                *patience = patience.saturating_sub(begun.elapsed());
            }
            Ok(())
        })
        .map_err(|_: io::Error| Disconnected)
    }
}

/// Sends what the socket takes. Returns whether the rest is the loop's: there is none, or a file comes first.
fn send_all(socket: BorrowedFd<'_>, queue: &mut OutQueue) -> io::Result<bool> {
    loop {
        let sent = match queue.front()? {
            Some(Segment::Bytes { bytes, more }) => socket::send(socket, bytes, more),
            Some(Segment::Both { first, .. }) => socket::send(socket, first, true),
            Some(Segment::File(_)) | None => return Ok(true),
        };
        match sent {
            Ok(count) => queue.advance(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
