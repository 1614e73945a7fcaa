//! The trait of a service in a worker, which has more duties than responses.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::clock::{Instant, Now};
use crate::files::{FileService, Observer};
use crate::http1::{Request, Response, Service};
use crate::reactor::Peer;
use crate::slab::Key;

use super::{Activities, ResponseCounter};

/// The connection that a request came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The address of the client.
    pub peer: Peer,
    /// The number of the listening socket that accepted the connection.
    pub listener: u16,
    /// The connection's key on the loop, by which it is woken.
    pub connection: Key,
    /// The connection's descriptor, for an application that sends before the loop can. It is valid until the response is
    /// dropped. -1 if there is no socket, or layers over it that every byte has to go through.
    pub socket: RawFd,
}

/// The sender of a request, for the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The client: the peer, or the address that a proxy names.
    pub client: Peer,
    /// The name of the user, if the request is authenticated.
    pub user: Option<Box<[u8]>>,
    /// The number of the request in this worker, if the service counts them: its id is made of that.
    pub number: Option<u64>,
}

/// The facts of one turn of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnFacts {
    /// When the wait ended and the hooks began.
    pub begun: Instant,
    /// The time between the end of the turn before and `begun`.
    pub waited: Duration,
    /// The time from `begun` to the end of the last hook.
    pub worked: Duration,
    /// How many events the wait returned.
    pub events: usize,
}

/// A service in a worker. Each method has a default that does nothing.
pub trait WorkerService: Service {
    /// Takes the connection of the next request; called before each [`Service::handle`].
    fn set_peer(&self, _peer: &PeerInfo) {}

    /// Whether requests are looked at before they are handled. Always the same, as [`WorkerService::is_watched`].
    fn is_guarded(&self) -> bool {
        false
    }

    /// Looks at a request before [`Service::handle`], which follows at once if this returns true. Otherwise the head
    /// stays in the input: the service wakes the connection, and is asked again.
    fn admit(&self, _request: &Request<'_>, _now: Now) -> bool {
        true
    }

    /// Returns the sender of the request that was handled last, if the service knows more of it than its peer.
    fn visitor(&self) -> Option<Visitor> {
        None
    }

    /// Adds what every response to such a request has, to one that another service has made.
    fn complete(&self, _request: &Request<'_>, _response: &mut Response) {}

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

    /// Runs between the turns of the loop, to free resources. Returns the time after which it has to be called again,
    /// if nothing happens before.
    fn tend(&self, _now: Now) -> Option<Duration> {
        None
    }

    /// Whether the worker reports accepts and turns to this service. Always the same, so that a worker of another service
    /// does not execute an instruction for it.
    fn is_watched(&self) -> bool {
        false
    }

    /// Returns the counter of responses, for the worker's [`Ledger`](super::Ledger).
    fn counter(&self) -> Option<Box<dyn ResponseCounter>> {
        None
    }

    /// Takes note of an accepted connection.
    fn note_accept(&self) {}

    /// Takes note of a turn. `activities` counts the worker's connections, which takes a look at each of them.
    fn note_turn(&self, _turn: &TurnFacts, _activities: &dyn Fn() -> Activities) {}

    /// Returns how many channels of the loop serve this service beside the worker's own listeners and connections. They
    /// do not keep a worker from ending its drain.
    fn channels_beside(&self) -> usize {
        0
    }

    /// Whether the listeners and connections of this service stay as they are while the worker drains.
    fn outlives_drain(&self) -> bool {
        false
    }
}

/// Any service in a worker, for a service that is put around it.
pub trait AnyService: WorkerService + std::fmt::Debug {}

impl<S: WorkerService + std::fmt::Debug> AnyService for S {}

impl<F: Fn(&Request<'_>, Now) -> Response> WorkerService for F {}

impl<O: Observer> WorkerService for FileService<O> {
    fn complete(&self, request: &Request<'_>, response: &mut Response) {
        Self::complete(self, request, response);
    }

    fn is_outdated(&self) -> bool {
        Self::is_outdated(self)
    }

    fn tend(&self, now: Now) -> Option<Duration> {
        Self::tend(self, now)
    }
}
