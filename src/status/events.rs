//! The live page's stream of server-sent events (WHATWG HTML, "Server-sent events").
//!
//! ```text
//! worker's loop: before_waiting ──► Viewers::tick, each 250 ms ──► wake ──► EventStream::poll ──► one event
//! ```
//!
//! A viewer gets an event only when the one before has left: one that does not read misses events, and is dropped after two
//! seconds. So no viewer makes a worker hold more than one event.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::findings::findings;
use super::json::{self, Seen};
use super::snapshot::Reports;
use crate::chat::OutQueue;
use crate::clock::{DateCache, Instant};
use crate::http1::{BodyFraming, Completion, PendingResponse, Progress, ResponseHead, Status};
use crate::reactor::Waker;
use crate::slab::Key;

/// The time between two events of a viewer.
const EVERY: Duration = Duration::from_millis(250);

/// How many events in a row a viewer may miss.
const MOST_MISSED: u32 = 8;

/// How many viewers a worker has at most. Each costs a snapshot of all workers four times a second.
const MOST_VIEWERS: usize = 8;

/// The field lines of the stream. The last one is for a proxy in front (nginx), which would gather events.
const FIELDS: &[u8] =
    b"Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n";

/// The viewers of one worker.
#[derive(Debug)]
pub(super) struct Viewers {
    keys: Mutex<Vec<Key>>,
    /// As many as there are keys: looked at in every turn.
    count: AtomicUsize,
    ticks: AtomicU64,
    /// The worker drains and the server goes on without it: viewers are sent to another worker.
    is_over: AtomicBool,
    waker: Waker,
}

impl Viewers {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            keys: Mutex::default(),
            count: AtomicUsize::new(0),
            ticks: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            waker,
        }
    }

    /// Has every viewer take an event if it is time for one. Returns when it has to be called again.
    pub(super) fn tick(&self, last: &mut Option<Instant>, now: Instant) -> Option<Duration> {
        if self.count.load(Ordering::Relaxed) == 0 {
            *last = None;
            return None;
        }
        // A first viewer has just had its first event.
        let since = now.saturating_duration_since(*last.get_or_insert(now));
        if since < EVERY {
            return Some(EVERY - since);
        }
        *last = Some(now);
        self.ticks.fetch_add(1, Ordering::Relaxed);
        self.wake_all();
        Some(EVERY)
    }

    /// Ends every stream.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.wake_all();
    }

    fn wake_all(&self) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // If it fails, the next turn is another try.
        let _ = self.waker.wake_all(&mut keys);
    }

    fn update(&self, change: impl FnOnce(&mut Vec<Key>)) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut keys);
        self.count.store(keys.len(), Ordering::Relaxed);
    }
}

/// The stream of one viewer.
#[derive(Debug)]
pub(super) struct EventStream {
    viewers: Arc<Viewers>,
    reports: Arc<Reports>,
    server: String,
    connection: Key,
    /// The turns that the viewer has seen.
    seen: Seen,
    /// The bytes of the head, once that is written.
    head: Option<u64>,
    /// The last tick that it got an event for.
    tick: u64,
    missed: u32,
}

impl EventStream {
    /// A stream on this connection; `None` if there are too many.
    pub(super) fn open(
        viewers: &Arc<Viewers>,
        reports: &Arc<Reports>,
        server: String,
        connection: Key,
    ) -> Option<Self> {
        if viewers.count.load(Ordering::Relaxed) >= MOST_VIEWERS {
            return None;
        }
        viewers.update(|keys| keys.push(connection));
        Some(Self {
            viewers: Arc::clone(viewers),
            reports: Arc::clone(reports),
            server,
            connection,
            seen: Seen::new(),
            head: None,
            tick: viewers.ticks.load(Ordering::Relaxed),
            missed: 0,
        })
    }

    fn write_head(&mut self, out: &mut OutQueue) {
        let mut dates = DateCache::new();
        let before = out.len();
        ResponseHead {
            status: Status::OK.code_and_reason().as_bytes(),
            server: Some(&self.server),
            date: Some(dates.http(SystemTime::now())),
            keep_alive: false,
            fields: [FIELDS, b""],
            announced: BodyFraming::UntilClose,
        }
        .write_to(out.tail());
        // The viewer connects again after a second.
        self.head = Some(out.len() - before);
        out.push(b"retry: 1000\n\n");
    }

    fn write_event(&mut self, out: &mut OutQueue) {
        let snapshot = self.reports.read();
        let data = json::event(&snapshot, &findings(&snapshot), &mut self.seen);
        out.push(b"data: ");
        out.push(data.as_bytes());
        out.push(b"\n\n");
    }
}

impl PendingResponse for EventStream {
    /// A request for events has no use for a body.
    fn body(&mut self, _: &[u8]) -> Result<(), Status> {
        Ok(())
    }

    fn begin(&mut self) {}

    fn poll(&mut self, out: &mut OutQueue) -> Progress {
        if self.head.is_none() {
            self.write_head(out);
            self.write_event(out);
            return Progress::Pending;
        }
        if self.viewers.is_over.load(Ordering::Relaxed) {
            return Progress::End(Completion::Close);
        }
        let tick = self.viewers.ticks.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.tick, tick) == tick {
            return Progress::Pending;
        }
        if out.is_empty() {
            self.missed = 0;
            self.write_event(out);
        } else {
            self.missed += 1;
            if self.missed >= MOST_MISSED {
                // Also what it has not read yet: the connection ends now.
                out.discard_buffers();
                return Progress::End(Completion::Cut { reset: true });
            }
        }
        Progress::Pending
    }

    fn status(&self) -> Option<(Status, u64)> {
        self.head.map(|head| (Status::OK, head))
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.viewers.update(|keys| keys.retain(|key| *key != self.connection));
    }
}
