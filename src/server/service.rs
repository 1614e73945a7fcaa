//! The trait of a service in a worker, which has more duties than responses.

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
    /// The address of the client.
    pub peer: Peer,
    /// The number of the listening socket that accepted the connection.
    pub listener: u16,
    /// The connection's key on the loop, by which it is woken.
    pub connection: Key,
    /// The connection's descriptor, for an application that sends without the loop. It is valid until the response is
    /// dropped.
    pub socket: RawFd,
}

/// A service in a worker. Each method has a default that does nothing.
pub trait WorkerService: Service {
    /// Takes the connection of the next request; called before each [`Service::handle`].
    fn set_peer(&self, _peer: &PeerInfo) {}

    /// Takes note that the server shuts down: each connection has at most one more response.
    fn drain(&self) {}

    /// Whether making a response may take a long time: the log then asks the clock again for its duration.
    fn takes_time(&self) -> bool {
        false
    }

    /// Whether another process should replace this worker.
    fn is_retiring(&self) -> bool {
        false
    }

    /// Whether what this worker serves is no longer what the configuration names, and only a new worker can serve that.
    fn is_outdated(&self) -> bool {
        false
    }

    /// Runs before each wait of the loop, at the end of a turn. Returns the longest time that the loop may wait.
    fn before_waiting(&self) -> Option<Duration> {
        None
    }

    /// Runs between the turns of the loop, to free resources. Returns the time after which it has to be called again, if
    /// nothing happens before.
    fn tend(&self, _now: Now) -> Option<Duration> {
        None
    }
}

impl<F: Fn(&Request<'_>, Now) -> Response> WorkerService for F {}

impl WorkerService for FileService {
    fn is_outdated(&self) -> bool {
        Self::is_outdated(self)
    }

    fn tend(&self, now: Now) -> Option<Duration> {
        Self::tend(self, now)
    }
}
