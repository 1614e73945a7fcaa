//! Who answers.

use std::time::Duration;

use super::head::Request;
use super::later::{Reply, Visitor};
use super::response::Response;
use crate::clock::Now;

/// Answers requests. One per worker, shared by all its connections; what it changes (a cache) it keeps in
/// cells of its own.
pub trait Service {
    /// Answers one request. It is called when the head is whole; the answer leaves once the body, if there
    /// is one, has been read.
    ///
    /// It runs on the loop: nothing in it may wait for anything but the file system.
    fn handle(&self, request: &Request<'_>, now: Now) -> Response;

    /// Takes a request whose head is whole: answers it, or says who will when its body is there.
    ///
    /// Unless it is overridden, [`Service::handle`] answers.
    fn begin(&self, request: &Request<'_>, now: Now) -> Reply {
        Reply::Now(self.handle(request, now))
    }

    /// Called before the requests of a connection are handled: this is whose they are.
    fn visit(&self, _visitor: Visitor) {}

    /// The server takes no new connections any more, and answers should be the last of theirs.
    fn drain(&self) {}

    /// Whether it may take so long to answer that the time has to be asked for anew behind it.
    fn takes_time(&self) -> bool {
        false
    }

    /// Whether this service has done enough, and a fresh process should take its place.
    fn is_retiring(&self) -> bool {
        false
    }

    /// Called before each wait of the loop, with everything done that was to be done in this turn. Answers how long the
    /// loop may wait at the most.
    fn before_waiting(&self) -> Option<Duration> {
        None
    }

    /// Called between the turns of the loop, to put away what is no longer needed. Answers in what time it
    /// wants to be called again, if nothing happens before.
    fn tend(&self, _now: Now) -> Option<Duration> {
        None
    }
}

impl<F: Fn(&Request<'_>, Now) -> Response> Service for F {
    fn handle(&self, request: &Request<'_>, now: Now) -> Response {
        self(request, now)
    }
}
