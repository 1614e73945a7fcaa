//! A service behind `--allow` and `--auth`.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::basic::Credentials;
use super::forwarded::Forwarded;
use super::users::Users;
use super::verifier::{Verdict, Verifier};
use crate::clock::Now;
use crate::http1::{Method, Reply, Request, Response, Service, Status};
use crate::reactor::{Peer, Waker};
use crate::server::{
    Activities, AnyService, Networks, PeerInfo, ResponseCounter, TurnFacts, Visitor, WorkerService,
};
use crate::slab::Key;

/// The challenge (RFC 7617 §2.1).
const CHALLENGE: &str = "Basic realm=\"restricted\", charset=\"UTF-8\"";

/// Who may read, and how clients are told apart.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The clients that are served; `None` for all.
    pub allow: Option<Networks>,
    /// The users that are served; `None` for everybody.
    pub users: Option<Users>,
    /// The proxies that name their clients.
    pub forwarded: Option<Forwarded>,
}

impl Access {
    /// Whether there is anything to look at.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.allow.is_some() || self.users.is_some() || self.forwarded.is_some()
    }

    /// Whether clients on this machine are refused, without a proxy that speaks for others.
    #[must_use]
    pub fn refuses_this_machine(&self) -> bool {
        let here = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        let mut here = here.into_iter().map(|address| Peer::from(SocketAddr::new(address, 0)));
        self.forwarded.is_none()
            && self.allow.as_ref().is_some_and(|allow| !here.any(|peer| allow.contains(peer)))
    }

    /// Puts itself around `inner`; `waker` wakes the connections of the reactor that serves.
    pub fn around(self, inner: impl AnyService + 'static, waker: Waker) -> Guarded {
        let Self { allow, users, forwarded } = self;
        let guard = Guard {
            allow,
            verifier: users.map(|users| Verifier::new(users, waker)),
            forwarded,
            peer: Cell::new((Peer::Unix, Key::from_bits(0))),
            visit: RefCell::default(),
        };
        Guarded { inner: Box::new(inner), guard }
    }
}

/// A service for some clients only. There is one for all services, so that it is compiled once: beside the look at a client,
/// an indirect call costs nothing.
#[derive(Debug)]
pub struct Guarded {
    inner: Box<dyn AnyService>,
    guard: Guard,
}

#[derive(Debug)]
struct Guard {
    allow: Option<Networks>,
    verifier: Option<Verifier>,
    forwarded: Option<Forwarded>,
    /// The peer and the connection of the current request.
    peer: Cell<(Peer, Key)>,
    visit: RefCell<Option<Visit>>,
}

/// The current request.
#[derive(Debug)]
struct Visit {
    visitor: Visitor,
    /// Why it is refused, if it is.
    refusal: Option<Denial>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    /// The address is not among those of `--allow`.
    Address,
    /// Credentials are missing or wrong.
    Password,
    /// The client sends passwords faster than they are verified.
    TooMany,
    /// All clients together do.
    Busy,
}

impl Denial {
    fn response(self) -> Response {
        let (status, field) = match self {
            Self::Address => (Status::FORBIDDEN, None),
            Self::Password => (Status::UNAUTHORIZED, Some(("WWW-Authenticate", CHALLENGE))),
            Self::TooMany => (Status::TOO_MANY_REQUESTS, Some(("Retry-After", "1"))),
            Self::Busy => (Status::SERVICE_UNAVAILABLE, Some(("Retry-After", "1"))),
        };
        let mut response = Response::error(status);
        if let Some((name, value)) = field {
            response.field(name, value);
        }
        response
    }
}

impl Guard {
    /// Looks at a request; `None` if its password has to be verified first.
    fn look_at(&self, request: &Request<'_>, now: Now) -> Option<Visit> {
        let (peer, connection) = self.peer.get();
        let client = match &self.forwarded {
            Some(forwarded) => forwarded.client(peer, request.fields),
            None => Some(peer),
        };
        let visit = |user, refusal| {
            Some(Visit { visitor: Visitor { client: client.unwrap_or(peer), user, number: None }, refusal })
        };
        if let Some(allow) = &self.allow
            && !client.is_some_and(|client| allow.contains(client))
        {
            return visit(None, Some(Denial::Address));
        }
        let Some(verifier) = &self.verifier else {
            return visit(None, None);
        };
        let Some(credentials) = Credentials::of(request.fields) else {
            return visit(None, (!is_preflight(request)).then_some(Denial::Password));
        };
        let address = client.unwrap_or(peer).ip();
        match verifier.ask(&credentials, address, connection, now.monotonic) {
            Verdict::Right => visit(Some(credentials.user.into()), None),
            Verdict::Wrong => visit(None, Some(Denial::Password)),
            Verdict::TooMany => visit(None, Some(Denial::TooMany)),
            Verdict::Busy => visit(None, Some(Denial::Busy)),
            Verdict::Later => None,
        }
    }
}

/// Whether a browser asks if a page of another origin may send the real request. It never sends credentials with that
/// (Fetch, "CORS-preflight fetch"), and the response tells nothing about files.
fn is_preflight(request: &Request<'_>) -> bool {
    let has = |name| request.fields.get(name).is_some();
    request.method == Method::Options && has("Origin") && has("Access-Control-Request-Method")
}

impl Service for Guarded {
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply {
        match self.guard.visit.borrow().as_ref().and_then(|visit| visit.refusal) {
            Some(denial) => {
                let mut response = denial.response();
                self.inner.complete(request, &mut response);
                Reply::Ready(response)
            }
            None => self.inner.handle(request, now),
        }
    }
}

impl WorkerService for Guarded {
    fn is_watched(&self) -> bool {
        self.inner.is_watched()
    }

    fn is_guarded(&self) -> bool {
        true
    }

    fn admit(&self, request: &Request<'_>, now: Now) -> bool {
        let visit = self.guard.look_at(request, now);
        let is_decided = visit.is_some();
        *self.guard.visit.borrow_mut() = visit;
        is_decided
    }

    fn visitor(&self) -> Option<Visitor> {
        self.guard.visit.borrow_mut().take().map(|visit| visit.visitor)
    }

    fn set_peer(&self, peer: &PeerInfo) {
        self.guard.peer.set((peer.peer, peer.connection));
        self.inner.set_peer(peer);
    }

    fn drain(&self) {
        self.inner.drain();
    }

    fn takes_time(&self) -> bool {
        self.inner.takes_time()
    }

    fn is_retiring(&self) -> bool {
        self.inner.is_retiring()
    }

    fn is_outdated(&self) -> bool {
        self.inner.is_outdated()
    }

    fn before_waiting(&self) -> Option<Duration> {
        self.inner.before_waiting()
    }

    fn tend(&self, now: Now) -> Option<Duration> {
        self.inner.tend(now)
    }

    fn counter(&self) -> Option<Box<dyn ResponseCounter>> {
        self.inner.counter()
    }

    fn note_accept(&self) {
        self.inner.note_accept();
    }

    fn note_turn(&self, turn: &TurnFacts, activities: &dyn Fn() -> Activities) {
        self.inner.note_turn(turn, activities);
    }

    fn channels_beside(&self) -> usize {
        self.inner.channels_beside()
    }

    fn outlives_drain(&self) -> bool {
        self.inner.outlives_drain()
    }
}
