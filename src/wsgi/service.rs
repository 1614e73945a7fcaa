//! Who answers: the application, or files beside it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::{error, info};

use super::inline::{Inline, InlineAnswer};
use super::locked;
use super::pool::{Pool, PoolAnswer};
use super::request::Request;
use super::shared::Common;
use crate::clock::Now;
use crate::files::FileService;
use crate::http1::{Reply, Response, Service, Status, Target};
use crate::server::{PeerInfo, WorkerService};
use crate::sys::process;

/// How often it is looked whether the application hangs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who calls the application.
#[derive(Debug)]
pub(super) enum Caller {
    /// The loop.
    Loop(Arc<Inline>),
    /// Threads.
    Threads(Arc<Pool>),
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
    pub(super) common: Arc<Common>,
    pub(super) mounts: Vec<Mount>,
    /// What the application is mounted at: empty, or as that of a [`Mount`].
    pub(super) prefix: String,
    /// How many requests are still to be answered before this worker leaves.
    pub(super) left: Cell<Option<u64>>,
    /// For how long all threads may be in the application without making anything; zero for ever.
    pub(super) timeout: Duration,
    pub(super) peer: Cell<Option<PeerInfo>>,
}

impl WsgiService {
    fn count(&self) {
        if let Some(left) = self.left.get() {
            self.left.set(Some(left.saturating_sub(1)));
            if left == 1 {
                info!("this worker has answered as many requests as it may");
            }
        }
    }

    /// Takes a request to the application.
    fn call(&self, request: &crate::http1::Request<'_>) -> Reply {
        let Some(peer) = self.peer.get() else {
            return Reply::Ready(Response::error(Status::INTERNAL_SERVER_ERROR));
        };
        match &self.caller {
            Caller::Loop(inline) => {
                let mut taken = locked(&inline.spare).pop().unwrap_or_default();
                taken.take(request, peer);
                Reply::Pending(Box::new(InlineAnswer::new(Arc::clone(inline), taken)))
            }
            Caller::Threads(pool) => {
                let mut taken: Request = pool.spare();
                taken.take(request, peer);
                Reply::Pending(Box::new(PoolAnswer::new(Arc::clone(pool), taken, peer.connection)))
            }
        }
    }
}

/// What of a path stands behind a prefix, if that is a prefix of it: `/a` of `/a`, `/a/` and `/a/b`, not of `/ab`.
fn behind<'a>(path: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix.as_bytes())?;
    matches!(rest, [] | [b'/', ..]).then_some(rest)
}

impl Mount {
    /// Answers a request for a file; `rest` is what stands behind the prefix.
    fn answer(
        &self,
        request: &crate::http1::Request<'_>,
        rest: &[u8],
        query: Option<&[u8]>,
        now: Now,
    ) -> Response {
        let path = if rest.is_empty() { b"/" } else { rest };
        let target = Target::Path { path, query };
        let mut response = self.files.respond(&crate::http1::Request { target, ..*request }, now);
        let is_moved = response.status == Status::MOVED_PERMANENTLY;
        if is_moved || (rest.is_empty() && !response.status.is_error()) {
            // The files do not know what they are mounted at.
            let query = query.map(|query| [b"?", query].concat()).unwrap_or_default();
            response = Response::new(Status::MOVED_PERMANENTLY);
            let place = format!(
                "{}{}/{}",
                self.prefix,
                String::from_utf8_lossy(rest),
                String::from_utf8_lossy(&query)
            );
            response.field("Location", place);
        }
        response
    }
}

impl Service for WsgiService {
    fn handle(&self, request: &crate::http1::Request<'_>, now: Now) -> Reply {
        self.count();
        match request.target {
            Target::Path { path, query } => {
                for mount in &self.mounts {
                    if let Some(rest) = behind(path, &mount.prefix) {
                        return Reply::Ready(mount.answer(request, rest, query, now));
                    }
                }
                match behind(path, &self.prefix) {
                    Some(rest) => self.call(&crate::http1::Request {
                        target: Target::Path { path: rest, query },
                        ..*request
                    }),
                    // Nothing of ours is there (WSGI E4).
                    None => Reply::Ready(Response::error(Status::NOT_FOUND)),
                }
            }
            Target::Asterisk => self.call(request),
            Target::Authority => Reply::Ready(Response::error(Status::NOT_IMPLEMENTED)),
        }
    }
}

impl WorkerService for WsgiService {
    fn set_peer(&self, peer: &PeerInfo) {
        self.peer.set(Some(*peer));
    }

    fn drain(&self) {
        self.common.draining.store(true, Ordering::Relaxed);
    }

    /// An application on the loop does.
    fn takes_time(&self) -> bool {
        matches!(self.caller, Caller::Loop(_))
    }

    fn is_retiring(&self) -> bool {
        self.left.get() == Some(0)
    }

    fn before_waiting(&self) -> Option<Duration> {
        match &self.caller {
            Caller::Loop(_) => None,
            Caller::Threads(pool) => pool.before_waiting(),
        }
    }

    /// A pool whose threads are all in the application, and have made nothing for too long, serves nobody any more.
    fn tend(&self, now: Now) -> Option<Duration> {
        let next = self.mounts.iter().filter_map(|mount| mount.files.tend(now)).min();
        if let Caller::Threads(pool) = &self.caller
            && !self.timeout.is_zero()
        {
            if let Some(stuck) = pool.stuck_for()
                && stuck > self.timeout
            {
                error!(
                    "every thread has been in the application for {:.0} s or longer: this worker aborts",
                    stuck.as_secs_f64()
                );
                // Its last words are those of faulthandler: where each thread is.
                process::abort();
            }
            return Some(next.map_or(LOOK_EVERY, |next| next.min(LOOK_EVERY)));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        assert_eq!(behind(b"/a/b", "/a"), Some(&b"/b"[..]));
        assert_eq!(behind(b"/a", "/a"), Some(&b""[..]));
        assert_eq!(behind(b"/ab", "/a"), None);
        assert_eq!(behind(b"/b", ""), Some(&b"/b"[..]));
    }
}
