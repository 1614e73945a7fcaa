//! The pages as a service, and the service of clients with the reports around it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::board::Slot;
use super::events::{EventStream, Viewers};
use super::findings::findings;
use super::snapshot::Reports;
use super::{metrics, page};
use crate::clock::{Instant, Now};
use crate::http1::{Body, Method, Reply, Request, Response, Service, Status, Target};
use crate::recording::{Finding, Recorder};
use crate::server::{Activities, PeerInfo, ResponseCounter, Shared, TurnFacts, Visitor, WorkerService};
use crate::slab::Key;

/// How often a worker publishes what its connections do, at most: it looks at each of them for that.
const PUBLISH_EVERY: Duration = Duration::from_millis(250);

/// The pages of one worker, for its own port and for a path of the public one.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) reports: Arc<Reports>,
    pub(super) viewers: Arc<Viewers>,
    /// The value of `Server`.
    pub(super) server: String,
    /// Whether this worker drains.
    pub(super) draining: Cell<bool>,
}

impl Pages {
    /// Responds to a request for `path`, which is below the path of the pages.
    fn reply(&self, request: &Request<'_>, path: &[u8], connection: Key) -> Reply {
        if !matches!(request.method, Method::Get | Method::Head) {
            let mut response = Response::error(Status::METHOD_NOT_ALLOWED);
            response.field("Allow", "GET, HEAD");
            return Reply::Ready(response);
        }
        Reply::Ready(match path {
            b"/" => {
                let snapshot = self.reports.read();
                page::page(&snapshot, &findings(&snapshot))
            }
            b"/status.js" => page::script(),
            b"/status.css" => page::style(),
            b"/metrics" => page::response(metrics::CONTENT_TYPE, metrics::text(&self.reports.read())),
            b"/healthz" => self.health(),
            b"/events" => return self.events(request, connection),
            _ => Response::error(Status::NOT_FOUND),
        })
    }

    /// Whether the server serves. A worker that is replaced does not count: others serve.
    fn health(&self) -> Response {
        let mut response = page::response("text/plain; charset=utf-8", "ok\n");
        if self.stay() {
            response.status = Status::SERVICE_UNAVAILABLE;
            response.body = Body::Bytes(b"draining\n".into());
        }
        response
    }

    fn events(&self, request: &Request<'_>, connection: Key) -> Reply {
        if request.method == Method::Head {
            return Reply::Ready(page::response("text/event-stream", ""));
        }
        let stream = EventStream::open(&self.viewers, &self.reports, self.server.clone(), connection);
        match stream {
            Some(stream) => Reply::Pending(Box::new(stream)),
            None => Reply::Ready(Response::error(Status::SERVICE_UNAVAILABLE)),
        }
    }

    /// Whether the pages are served until the worker ends: the server stops, and no other worker would serve them.
    fn stay(&self) -> bool {
        self.reports.board.is_stopping()
    }
}

/// The service of the pages' own port.
#[derive(Debug)]
pub(super) struct StatusService {
    pub(super) pages: Rc<Pages>,
    pub(super) connection: Cell<Key>,
}

impl Service for StatusService {
    fn handle(&self, request: &Request<'_>, _: Now) -> Reply {
        match request.target {
            Target::Path { path, .. } => self.pages.reply(request, path, self.connection.get()),
            Target::Asterisk | Target::Authority => Reply::Ready(Response::error(Status::NOT_IMPLEMENTED)),
        }
    }
}

impl WorkerService for StatusService {
    fn set_peer(&self, peer: &PeerInfo) {
        self.connection.set(peer.connection);
    }

    fn outlives_drain(&self) -> bool {
        self.pages.stay()
    }
}

/// A service of clients, with the reports of its worker, and perhaps the pages at a path of its own.
#[derive(Debug)]
pub struct Watched<S> {
    pub(super) inner: S,
    pub(super) watch: Watcher,
}

/// What watches a worker.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) pages: Rc<Pages>,
    /// The path of the pages on the public port.
    pub(super) path: Option<String>,
    pub(super) slot: Slot,
    /// Records the loop, with a doctor, if it is to be recorded.
    pub(super) recorder: Option<Recorder>,
    /// The connections of the pages' own port, and a count whose second owner is its listener.
    pub(super) own: Option<(Rc<Shared<StatusService>>, Rc<()>)>,
    pub(super) connection: Cell<Key>,
    pub(super) times: RefCell<Times>,
}

/// What happened when, for what is done a few times a second.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The end of the last turn.
    turned: Option<Instant>,
    /// When the connections were last published, and whether a turn has come since.
    published: Option<Instant>,
    changed: bool,
    /// When viewers last had an event.
    ticked: Option<Instant>,
    /// The finding that was told last.
    told: Option<Finding>,
}

impl Watcher {
    /// The path of a request after that of the pages, if it is below it.
    fn rest<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let rest = path.strip_prefix(self.path.as_deref()?.as_bytes())?;
        matches!(rest, [] | [b'/', ..]).then_some(rest)
    }

    /// Leads to the path with a slash at its end, which the links of the page are relative to.
    fn redirect(&self) -> Response {
        let mut response = Response::error(Status::MOVED_PERMANENTLY);
        let name = self.path.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        response.field("Location", format_args!("./{name}/"));
        response
    }

    fn publish(&self, times: &mut Times, now: Instant, activities: &dyn Fn() -> Activities) {
        let since = times.published.map_or(PUBLISH_EVERY, |at| now.saturating_duration_since(at));
        times.changed = since < PUBLISH_EVERY;
        if !times.changed {
            times.published = Some(now);
            let lengths = self.pages.reports.own_queues().into_iter();
            let lengths: Vec<u64> = lengths.map(|sizes| sizes.map_or(0, |(length, _)| length)).collect();
            self.slot.publish(activities(), &lengths);
            self.tell_finding(times);
        }
    }

    /// Publishes what the doctor has found last, once.
    fn tell_finding(&self, times: &mut Times) {
        let findings = self.recorder.as_ref().map(Recorder::findings).unwrap_or_default();
        if let Some(last) = findings.last().filter(|last| times.told.as_ref() != Some(*last)) {
            self.slot.tell(last, self.pages.reports.board.uptime());
            times.told = Some(last.clone());
        }
    }

    /// When the next look or the next event is due.
    fn next_report(&self) -> Option<Duration> {
        let mut times = self.times.borrow_mut();
        let now = times.turned.unwrap_or_else(Instant::now);
        let published = times.published.filter(|_| times.changed);
        let publish = published.map(|at| PUBLISH_EVERY.saturating_sub(now.saturating_duration_since(at)));
        let viewers = self.pages.viewers.tick(&mut times.ticked, now);
        publish.into_iter().chain(viewers).min()
    }
}

impl<S: WorkerService> Service for Watched<S> {
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply {
        if let Target::Path { path, .. } = request.target
            && let Some(rest) = self.watch.rest(path)
        {
            return match rest {
                [] => Reply::Ready(self.watch.redirect()),
                rest => self.watch.pages.reply(request, rest, self.watch.connection.get()),
            };
        }
        self.inner.handle(request, now)
    }
}

impl<S: WorkerService> WorkerService for Watched<S> {
    fn is_watched(&self) -> bool {
        true
    }

    fn complete(&self, request: &Request<'_>, response: &mut Response) {
        self.inner.complete(request, response);
    }

    fn set_peer(&self, peer: &PeerInfo) {
        self.watch.connection.set(peer.connection);
        self.inner.set_peer(peer);
    }

    fn set_visitor(&self, visitor: &Visitor) {
        self.inner.set_visitor(visitor);
    }

    /// Ends the streams, so that their viewers go to another worker, unless there is none.
    fn drain(&self) {
        self.inner.drain();
        self.watch.pages.reports.close_sockets();
        self.watch.pages.draining.set(true);
        if !self.watch.pages.stay() {
            self.watch.pages.viewers.end();
        }
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
        self.inner.before_waiting().into_iter().chain(self.watch.next_report()).min()
    }

    fn tend(&self, now: Now) -> Option<Duration> {
        self.inner.tend(now)
    }

    fn counter(&self) -> Option<Box<dyn ResponseCounter>> {
        Some(Box::new(self.watch.slot))
    }

    fn note_accept(&self) {
        self.watch.slot.note_accept();
    }

    fn note_turn(&self, turn: &TurnFacts, activities: &dyn Fn() -> Activities) {
        self.watch.slot.note_turn(turn);
        let mut times = self.watch.times.borrow_mut();
        let now = turn.begun + turn.worked;
        times.turned = Some(now);
        self.watch.publish(&mut times, now, activities);
    }

    /// None while the pages close with the worker: then it waits for their responses as for those of clients.
    fn channels_beside(&self) -> usize {
        match &self.watch.own {
            Some((shared, alive)) if self.watch.pages.stay() || !self.watch.pages.draining.get() => {
                shared.connections() + Rc::strong_count(alive) - 1
            }
            _ => 0,
        }
    }
}
