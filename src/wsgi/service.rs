//! The service of a worker: it takes a request to the application, or to the files beside it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::info;

use super::activity::ThreadActivity;
use super::hang_watch::HangWatch;
use super::inline::{Inline, InlineResponse};
use super::kept_signals::KeptSignals;
use super::pool::{Pool, PoolResponse};
use super::proxies::{ForwardedRequest, Proxies};
use super::request::{OwnedRequest, RequestSender};
use super::shared::WorkerContext;
use super::stacks::log_last_stacks;
use crate::clock::{Instant, Now};
use crate::files::{FileService, redirect_to_directory};
use crate::http1::{Reply, Request, Response, Service, Status, Target};
use crate::reactor::Peer;
use crate::server::{PeerInfo, Visitor, WorkerService};

/// How long the stacks of threads may take at the end of a worker.
const STACKS: Duration = Duration::from_millis(200);

/// How often the loop checks whether the application hangs.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time before the end of a drain that requests are refused which no thread has begun.
const REFUSAL: Duration = Duration::from_millis(500);

/// What calls the application.
#[derive(Debug)]
pub(super) enum Caller {
    /// The loop (`--threads 0`).
    Loop(Arc<Inline>),
    /// A pool of threads.
    Threads(Arc<Pool>),
}

impl Caller {
    /// The activity of the threads, if there are any.
    pub(super) fn activity(&self) -> Option<Arc<ThreadActivity>> {
        match self {
            Self::Threads(pool) => Some(Arc::clone(pool.activity())),
            Self::Loop(_) => None,
        }
    }
}

/// Files that are served beside the application.
#[derive(Debug)]
pub(super) struct Mount {
    /// Begins with a slash and does not end with one.
    pub(super) prefix: String,
    pub(super) files: FileService,
}

/// The service of a worker.
#[derive(Debug)]
pub(super) struct WsgiService {
    pub(super) caller: Caller,
    pub(super) context: Arc<WorkerContext>,
    pub(super) mounts: Vec<Mount>,
    /// The path of the application: empty, or as that of a [`Mount`].
    pub(super) prefix: String,
    /// How many more requests this worker answers before it retires.
    pub(super) left: Cell<Option<u64>>,
    /// Requests so far.
    pub(super) number: Cell<u64>,
    /// Watches the threads of a pool.
    pub(super) watch: RefCell<HangWatch>,
    /// Whether no thread of the pool makes progress.
    pub(super) is_stuck: Cell<bool>,
    /// How long a drain may take.
    pub(super) grace: Duration,
    /// When a drain is so near its end that requests are refused.
    pub(super) refuse_at: Cell<Option<Instant>>,
    pub(super) peer: Cell<Option<PeerInfo>>,
    /// The proxies in front of the server.
    pub(super) proxies: Option<Proxies>,
    /// What they say of the current request.
    pub(super) forwarded: RefCell<Option<ForwardedRequest>>,
    /// The client that they name, for the access log.
    pub(super) client: Cell<Option<Peer>>,
    /// The user of the current request, if the server asks for passwords.
    pub(super) user: RefCell<Option<Box<[u8]>>>,
    /// The signals of the process, if they are the server's.
    pub(super) signals: Option<KeptSignals>,
}

impl WsgiService {
    fn count(&self) {
        if let Some(left) = self.left.get() {
            self.left.set(Some(left.saturating_sub(1)));
            if left == 1 {
                info!("this worker has reached its limit of requests");
            }
        }
    }

    /// Hands a request to the application.
    fn call(&self, request: &Request<'_>) -> Reply {
        let Some(peer) = self.peer.get() else {
            return Reply::Ready(Response::error(Status::INTERNAL_SERVER_ERROR));
        };
        let own = |mut owned: OwnedRequest| {
            let (forwarded, user) = (self.forwarded.take(), self.user.take());
            owned.set_head(request, RequestSender { peer: Some(peer), forwarded, user }, self.number.get());
            owned
        };
        match &self.caller {
            Caller::Loop(inline) => {
                let owned = own(inline.spare_request());
                Reply::Pending(Box::new(InlineResponse::new(Arc::clone(inline), owned, &peer)))
            }
            Caller::Threads(pool) => {
                let owned = own(pool.spare_request());
                Reply::Pending(Box::new(PoolResponse::new(
                    Arc::clone(pool),
                    owned,
                    peer.connection,
                    self.context.run_abandoned,
                )))
            }
        }
    }
}

/// The rest of a path after a prefix: `/a` is a prefix of `/a`, `/a/` and `/a/b`, but not of `/ab`.
fn strip_prefix<'a>(path: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix.as_bytes())?;
    matches!(rest, [] | [b'/', ..]).then_some(rest)
}

impl Mount {
    /// Responds to a request for a file; `rest` is its path after the prefix.
    fn respond(&self, request: &Request<'_>, rest: &[u8], query: Option<&[u8]>, now: Now) -> Reply {
        let path = if rest.is_empty() { b"/" } else { rest };
        let target = Target::Path { path, query };
        let reply = self.files.respond(&Request { target, ..*request }, now);
        let is_error = matches!(&reply, Reply::Ready(response) if response.status.is_error());
        // The root of the files is the prefix, which has no slash at its end.
        if rest.is_empty() && !is_error {
            return redirect_to_directory(self.prefix.as_bytes(), query).into();
        }
        reply
    }
}

impl Service for WsgiService {
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply {
        self.count();
        if let (Some(proxies), Some(info)) = (&self.proxies, self.peer.get()) {
            let forwarded = proxies.read(info.peer, request);
            self.client.set(forwarded.as_ref().map(|forwarded| forwarded.client));
            self.forwarded.replace(forwarded);
        }
        match request.target {
            Target::Path { path, query } => {
                for mount in &self.mounts {
                    if let Some(rest) = strip_prefix(path, &mount.prefix) {
                        return mount.respond(request, rest, query, now);
                    }
                }
                match strip_prefix(path, &self.prefix) {
                    Some(rest) => {
                        self.call(&Request { target: Target::Path { path: rest, query }, ..*request })
                    }
                    // The application is elsewhere (WSGI E4).
                    None => Reply::Ready(Response::error(Status::NOT_FOUND)),
                }
            }
            Target::Asterisk => self.call(request),
            Target::Authority => Reply::Ready(Response::error(Status::NOT_IMPLEMENTED)),
        }
    }
}

impl WorkerService for WsgiService {
    /// Also numbers the request: one that a service around this one refuses has a number, too.
    fn set_peer(&self, peer: &PeerInfo) {
        self.peer.set(Some(*peer));
        self.number.set(self.number.get() + 1);
    }

    fn set_visitor(&self, visitor: &Visitor) {
        self.user.replace(visitor.user.clone());
    }

    fn visitor(&self) -> Option<Visitor> {
        let client = self.client.get().or(self.peer.get().map(|info| info.peer))?;
        Some(Visitor { client, user: None, number: Some(self.number.get()) })
    }

    fn drain(&self) {
        self.context.draining.store(true, Ordering::Relaxed);
        let refusal = REFUSAL.min(self.grace / 2);
        self.refuse_at.set(Some(Instant::now() + (self.grace - refusal)));
    }

    /// An application on the loop may take any time.
    fn takes_time(&self) -> bool {
        matches!(self.caller, Caller::Loop(_))
    }

    fn is_retiring(&self) -> bool {
        self.left.get() == Some(0) || self.is_stuck.get()
    }

    fn cut_off(&self) {
        match &self.caller {
            Caller::Loop(inline) => inline.cut_off.begin(),
            Caller::Threads(pool) => {
                pool.cut_off.begin();
                let threads: Vec<_> = pool.activity().silences().collect();
                if !threads.is_empty() {
                    log_last_stacks(threads, STACKS);
                }
            }
        }
    }

    fn note_signal(&self) {
        self.signals.iter().for_each(KeptSignals::run_handlers);
    }

    fn before_waiting(&self) -> Option<Duration> {
        match &self.caller {
            Caller::Loop(inline) => inline.before_waiting(),
            Caller::Threads(pool) => {
                let left = self.refuse_at.get().map(|at| at.saturating_duration_since(Instant::now()));
                let wait = pool.before_waiting(left.is_some_and(|left| left.is_zero()));
                wait.into_iter().chain(left.filter(|left| !left.is_zero())).min()
            }
        }
    }

    /// Also finds out whether the threads hang: then another worker takes the place of this one.
    fn tend(&self, now: Now) -> Option<Duration> {
        self.signals.iter().for_each(KeptSignals::tend);
        let next = self.mounts.iter().filter_map(|mount| mount.files.tend(now)).min();
        let mut watch = self.watch.borrow_mut();
        match &self.caller {
            Caller::Threads(pool) if watch.is_on() && !self.is_stuck.get() => {
                self.is_stuck.set(watch.look(pool));
                // A worker that is stuck retires after this turn of the loop.
                let interval = if self.is_stuck.get() { Duration::ZERO } else { CHECK_INTERVAL };
                Some(next.map_or(interval, |next| next.min(interval)))
            }
            _ => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        assert_eq!(strip_prefix(b"/a/b", "/a"), Some(&b"/b"[..]));
        assert_eq!(strip_prefix(b"/a", "/a"), Some(&b""[..]));
        assert_eq!(strip_prefix(b"/ab", "/a"), None);
        assert_eq!(strip_prefix(b"/b", ""), Some(&b"/b"[..]));
    }
}
