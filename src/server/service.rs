//! A service in a worker: beside responses, what a worker's life asks of it.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::clock::Now;
use crate::files::FileService;
use crate::http1::{Request, Response, Service};
use crate::reactor::Peer;
use crate::slab::Key;

/// The connection that a request came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The other end.
    pub peer: Peer,
    /// The number of the listening socket it came through.
    pub listener: u16,
    /// The connection's key on the loop: what wakes it.
    pub connection: Key,
    /// The connection's descriptor, for an application that cannot wait for the loop. It is valid while the service is
    /// called.
    pub socket: RawFd,
}

/// What a worker asks of its service beside responses.
pub trait WorkerService: Service {
    /// Called before each request is handled: this is its connection.
    fn set_peer(&self, _peer: &PeerInfo) {}

    /// The server takes no new connections any more, and responses should be the last of theirs.
    fn drain(&self) {}

    /// Whether a response may take so long to make that the log asks for the time again after it.
    fn takes_time(&self) -> bool {
        false
    }

    /// Whether this service has done enough, and a fresh process should take its place.
    fn is_retiring(&self) -> bool {
        false
    }

    /// Called before each wait of the loop, when everything of this turn is done. Returns how long the
    /// loop may wait at the most.
    fn before_waiting(&self) -> Option<Duration> {
        None
    }

    /// Called between the turns of the loop, to put away what is no longer needed. Returns in what time it
    /// wants to be called again, if nothing happens before.
    fn tend(&self, _now: Now) -> Option<Duration> {
        None
    }
}

impl<F: Fn(&Request<'_>, Now) -> Response> WorkerService for F {}

impl WorkerService for FileService {
    fn tend(&self, now: Now) -> Option<Duration> {
        Self::tend(self, now)
    }
}
