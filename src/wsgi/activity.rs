//! For how long each thread of a pool has been in the application without output: the figure behind `--timeout`; and
//! what a thread of the pool does while it waits for a client.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pyo3::Python;

use super::outbox::{Disconnected, Outbox};
use crate::clock::Instant;

/// A client that takes longer than this for what is in the outbox is slow. A loop that is busy takes up to 1 ms.
const SLOW: Duration = Duration::from_millis(2);

thread_local! {
    /// This thread, if it is one of a pool.
    static THIS_THREAD: OnceCell<PoolThread> = const { OnceCell::new() };
}

/// A thread of a pool.
#[derive(Debug)]
struct PoolThread {
    activity: Arc<ThreadActivity>,
    number: usize,
    substitution: Arc<dyn Substitution>,
}

/// Lets other threads run in the place of one that waits for a slow client.
pub(super) trait Substitution: fmt::Debug + Send + Sync {
    /// This thread is about to wait. Returns the number of the thread that it has to start first.
    fn park(&self) -> Option<usize>;

    /// Starts the thread with this number.
    fn start(&self, py: Python<'_>, number: usize);

    /// This thread has waited.
    fn unpark(&self);
}

/// The activity of the threads of a pool.
#[derive(Debug)]
pub(super) struct ThreadActivity {
    start: Instant,
    threads: Vec<OneActivity>,
}

/// The activity of the thread with one number.
#[derive(Debug, Default)]
struct OneActivity {
    /// When the thread last called the application or received output from it, in milliseconds after `start`; 0 while
    /// it is not in the application.
    since: AtomicU64,
    /// Python's identifier of the thread.
    identifier: AtomicU64,
}

/// A thread that is in the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    /// The number of the thread.
    pub(super) number: usize,
    /// Python's identifier of the thread.
    pub(super) identifier: u64,
    /// When it began, in milliseconds after the start of the pool.
    since: u64,
    /// The time without output.
    pub(super) time: Duration,
}

impl Silence {
    /// Whether both are the same time of the same thread in the application.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.number, self.since) == (other.number, other.since)
    }
}

impl ThreadActivity {
    pub(super) fn of_threads(count: usize) -> Self {
        Self { start: Instant::now(), threads: (0..count).map(|_| OneActivity::default()).collect() }
    }

    /// Registers this thread under `number`, for the functions of this module.
    pub(super) fn register(
        self: &Arc<Self>,
        number: usize,
        identifier: u64,
        substitution: Arc<dyn Substitution>,
    ) {
        self.threads[number].identifier.store(identifier, Ordering::Relaxed);
        let thread = PoolThread { activity: Arc::clone(self), number, substitution };
        THIS_THREAD.with(|this| _ = this.set(thread));
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// The threads that are in the application.
    pub(super) fn silences(&self) -> impl Iterator<Item = Silence> {
        let now = self.now();
        self.threads.iter().enumerate().filter_map(move |(number, one)| {
            let since = one.since.load(Ordering::Relaxed);
            let time = Duration::from_millis(now.saturating_sub(since));
            let identifier = one.identifier.load(Ordering::Relaxed);
            (since != 0).then_some(Silence { number, identifier, since, time })
        })
    }

    /// Waits until no thread is in the application, at most for `longest`: threads whose client is gone find that out,
    /// and close what the application returned. Returns whether no thread is.
    pub(super) fn wait_until_idle(&self, longest: Duration) -> bool {
        let start = Instant::now();
        // Threads that waited for a client do not count as busy. The first sleep gives them time to go on.
        loop {
            std::thread::sleep(Duration::from_millis(1));
            let is_idle = self.silences().next().is_none();
            if is_idle || start.elapsed() >= longest {
                return is_idle;
            }
        }
    }
}

/// Sets the time since which this thread is in the application.
fn set(time: impl FnOnce(&ThreadActivity) -> u64) {
    THIS_THREAD.with(|this| {
        if let Some(PoolThread { activity, number, .. }) = this.get() {
            activity.threads[*number].since.store(time(activity), Ordering::Relaxed);
        }
    });
}

/// Notes that this thread calls the application, or has received output from it.
pub(super) fn note_progress() {
    set(ThreadActivity::now);
}

/// Notes that this thread is not in the application any more.
pub(super) fn leave() {
    set(|_| 0);
}

/// Waits until there is room in the outbox. The application is not to blame for that time; while the client is slow,
/// another thread of the pool may run in the place of this one.
///
/// # Errors
/// The client is gone.
pub(super) fn wait_for_room(py: Python<'_>, outbox: &Outbox) -> Result<(), Disconnected> {
    leave();
    let substitution = THIS_THREAD.with(|this| this.get().map(|this| Arc::clone(&this.substitution)));
    let substitution = substitution.as_deref();
    let waited = py.detach(|| match outbox.wait_for_room(Some(SLOW)) {
        Some(result) => Ok(result),
        None => match substitution.and_then(Substitution::park) {
            None => Ok(wait_parked(outbox, substitution)),
            Some(number) => Err(number),
        },
    });
    let result = waited.unwrap_or_else(|number| {
        substitution.iter().for_each(|substitution| substitution.start(py, number));
        py.detach(|| wait_parked(outbox, substitution))
    });
    note_progress();
    result
}

fn wait_parked(outbox: &Outbox, substitution: Option<&dyn Substitution>) -> Result<(), Disconnected> {
    let result = outbox.wait_for_room(None).unwrap_or(Ok(()));
    substitution.iter().for_each(|substitution| substitution.unpark());
    result
}
