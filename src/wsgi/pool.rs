//! The application in a pool of threads: the loop hands whole requests over, and never runs Python itself.
//!
//! ```text
//! loop: submit ──► queue ──► thread: call the application ──► Outbox ──(Waker)──► loop: fetch
//! ```
//!
//! The queue is bounded by the connections of the worker: each has one request in it at the most. A thread is attached
//! to the interpreter for as long as it lives, and detaches while it waits: attaching anew for each request costs
//! eight microseconds, and loses everything that the application keeps in `threading.local`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use log::error;
use pyo3::prelude::*;

use super::answer::Way;
use super::bell::{Bell, LOOKS_AGAIN};
use super::environ::Application;
use super::locked;
use super::outbox::Outbox;
use super::request::Request;
use super::run::{Run, Runner, Step, report};
use crate::chat::OutQueue;
use crate::clock::Instant;
use crate::http1::{Completion, PendingResponse, Progress, Status};
use crate::reactor::Waker;
use crate::slab::Key;

/// Memory of so many answers is kept for the next ones, if it is not large.
const SPARE_WIRES: usize = 16;
const LARGE_WIRE: usize = 128 * 1024;

/// So many threads woken in vain, one after the other, mean that one is enough again.
const MUCH_WASTE: u32 = 8;

thread_local! {
    /// Where it stands since when this thread has been in the application.
    static BUSY: RefCell<Option<Arc<AtomicU64>>> = const { RefCell::new(None) };
}

/// Waits for a client, which is not the application's fault.
pub(super) fn away_from_the_application<T>(wait: impl FnOnce() -> T) -> T {
    let busy = BUSY.with_borrow(Clone::clone);
    let since = busy.as_ref().map(|busy| busy.swap(0, Ordering::Relaxed));
    let result = wait();
    if let (Some(busy), Some(since)) = (busy, since) {
        busy.store(since, Ordering::Relaxed);
    }
    result
}

/// A request that waits for a thread.
#[derive(Debug)]
struct Job {
    request: Request,
    outbox: Arc<Outbox>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Jobs that have been taken out since the beginning; it may wrap.
    taken: u64,
    /// Threads that wait for a job.
    idle: usize,
    /// Threads that have been woken and have not looked yet.
    woken: usize,
    /// Jobs have waited while threads were idle: the application waits for something, and each job is worth a thread.
    slow: bool,
    /// Threads that were woken in a row, and found nothing left to do.
    wasted: u32,
    /// Memory of requests that are over.
    spare: Vec<Request>,
    closing: bool,
}

impl Queue {
    /// A thread was woken; `found`: and there was a job for it.
    fn note_wake(&mut self, found: bool) {
        self.wasted = if found { 0 } else { self.wasted.saturating_add(1) };
        self.slow &= self.wasted < MUCH_WASTE;
    }

    /// How many threads to wake now. While one is awake, and quick, it does the work of all of them: only one has the
    /// interpreter at a time, and the others would only be in its way.
    fn wake_more(&mut self, threads: usize) -> usize {
        let asleep = self.idle.saturating_sub(self.woken);
        let awake = threads.saturating_sub(asleep);
        let wanted = match self.slow {
            true => self.jobs.len().saturating_sub(self.woken),
            false => self.jobs.len().min(1).saturating_sub(awake),
        };
        let count = wanted.min(asleep);
        self.woken += count;
        count
    }
}

/// What loop and threads share.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    bell: Arc<Bell>,
    /// Of each thread: since when it has been in the application without making anything, in milliseconds since the
    /// pool began; 0 while it is not.
    busy: Vec<Arc<AtomicU64>>,
    begun: Instant,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// The threads of a worker, as the loop sees them.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    /// Jobs of this turn of the loop: they are handed over together.
    jobs: Mutex<VecDeque<Job>>,
    spare: Mutex<Vec<Request>>,
    /// Memory of answers that have been fetched. Without it one thread allocates what the other one frees, and of large
    /// answers each page is asked of the kernel anew.
    spare_wires: Mutex<Vec<Vec<u8>>>,
    /// Something has gone to the threads, or come from them, in this turn.
    moved: AtomicBool,
    /// How many jobs had been taken when the loop last looked, and when it saw that number first.
    seen: Mutex<(u64, Instant)>,
}

impl Pool {
    /// Starts the threads; `waker` is that of the loop.
    ///
    /// # Errors
    /// As pthread_create(3).
    pub(super) fn start(count: usize, application: &Arc<Application>, waker: Waker) -> io::Result<Self> {
        let busy = (0..count).map(|_| Arc::default()).collect();
        let begun = Instant::now();
        let bell = Arc::new(Bell::new(waker));
        let shared = Arc::new(Shared { queue: Mutex::default(), ready: Condvar::new(), bell, busy, begun });
        for number in 0..count {
            let (shared, application) = (Arc::clone(&shared), Arc::clone(application));
            Builder::new()
                .name(format!("wsgi-{number}"))
                .stack_size(8 * 1024 * 1024)
                .spawn(move || work(&shared, &application, number))?;
        }
        Ok(Self {
            shared,
            jobs: Mutex::default(),
            spare: Mutex::default(),
            spare_wires: Mutex::default(),
            moved: AtomicBool::new(false),
            seen: Mutex::new((0, begun)),
        })
    }

    fn submit(&self, job: Job) {
        locked(&self.jobs).push_back(job);
    }

    /// Hands over the jobs of this turn, and wakes who is needed for them; answers how long the loop may wait.
    pub(super) fn before_waiting(&self) -> Option<Duration> {
        let mut moved = self.moved.swap(false, Ordering::Relaxed);
        let mut jobs = locked(&self.jobs);
        moved |= !jobs.is_empty();
        {
            let mut queue = self.shared.queue();
            self.look_whether_jobs_wait(&mut queue, !jobs.is_empty());
            queue.jobs.append(&mut jobs);
            let count = queue.wake_more(self.shared.busy.len());
            let mut spare = locked(&self.spare);
            if spare.is_empty() {
                std::mem::swap(&mut *spare, &mut queue.spare);
            }
            // Jobs that wait while threads sleep are looked after.
            moved |= !queue.jobs.is_empty() && queue.idle > queue.woken;
            drop(queue);
            (0..count).for_each(|_| self.shared.ready.notify_one());
        }
        let has_some = self.shared.bell.before_waiting(moved);
        (moved && !has_some).then_some(LOOKS_AGAIN)
    }

    /// Jobs that nobody has taken for a while, though threads sleep, mean that the application waits for something.
    /// `comes`: there will be one, if there is none.
    fn look_whether_jobs_wait(&self, queue: &mut Queue, comes: bool) {
        let is_empty = queue.jobs.is_empty();
        if is_empty && !comes {
            return;
        }
        let (taken, since) = *locked(&self.seen);
        let now = Instant::now();
        if is_empty || queue.taken != taken {
            *locked(&self.seen) = (queue.taken, now);
        } else if now - since >= LOOKS_AGAIN {
            (queue.slow, queue.wasted) = (true, 0);
        }
    }

    /// What tells whether threads are still in the application, when the pool itself is gone.
    pub(super) fn rest(&self) -> Rest {
        Rest(Arc::clone(&self.shared))
    }

    /// Memory for a request.
    pub(super) fn spare(&self) -> Request {
        locked(&self.spare).pop().unwrap_or_default()
    }

    fn keep(&self, wire: Vec<u8>) {
        let mut spare = locked(&self.spare_wires);
        if spare.len() < SPARE_WIRES && (1..=LARGE_WIRE).contains(&wire.capacity()) {
            spare.push(wire);
        }
    }

    /// For how long every thread has been in the application without making anything, if all are.
    pub(super) fn stuck_for(&self) -> Option<Duration> {
        let now = self.shared.millis();
        let latest = self.shared.busy.iter().map(|since| match since.load(Ordering::Relaxed) {
            0 => now,
            since => since,
        });
        let since = latest.max().filter(|since| *since < now)?;
        Some(Duration::from_millis(now - since))
    }
}

impl Drop for Pool {
    /// Threads that have nothing to do end; those that are in the application end with the process.
    fn drop(&mut self) {
        self.shared.queue().closing = true;
        self.shared.ready.notify_all();
    }
}

/// Threads of a pool that is closed.
#[derive(Debug)]
pub(super) struct Rest(Arc<Shared>);

impl Rest {
    /// Gives those that are in the application a moment to find out that nobody waits for what they make, and to close
    /// it.
    pub(super) fn wait(&self, longest: Duration) {
        let begun = Instant::now();
        // The first moment is for those that waited for their clients, and do not count as busy.
        loop {
            std::thread::sleep(Duration::from_millis(1));
            let is_busy = self.0.busy.iter().any(|busy| busy.load(Ordering::Relaxed) != 0);
            if !is_busy || begun.elapsed() >= longest {
                return;
            }
        }
    }
}

/// A thread of the pool.
fn work(shared: &Shared, application: &Arc<Application>, number: usize) {
    Python::attach(|py| {
        let mut runner = Runner::new(py, Arc::clone(application));
        let busy = Arc::clone(&shared.busy[number]);
        BUSY.set(Some(Arc::clone(&busy)));
        while py.detach(|| wait_for_job(shared)) {
            // The job is taken by who has the interpreter: nobody sits on one and waits for it.
            let (mut over, mut count) = (None, 0_u32);
            while let Some(job) = next_job(shared, over.take()) {
                busy.store(shared.millis(), Ordering::Relaxed);
                over = Some(serve(py, &mut runner, job, &busy, shared));
                busy.store(0, Ordering::Relaxed);
                count = count.saturating_add(1);
            }
            shared.queue().note_wake(count > 0);
            shared.bell.flush();
        }
    });
}

/// Waits until there may be one; answers whether the pool goes on.
fn wait_for_job(shared: &Shared) -> bool {
    let mut queue = shared.queue();
    queue.idle += 1;
    while queue.jobs.is_empty() && !queue.closing {
        queue = shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        queue.woken = queue.woken.saturating_sub(1);
        if queue.jobs.is_empty() {
            queue.note_wake(false);
        }
    }
    queue.idle -= 1;
    !queue.jobs.is_empty()
}

/// The next job; `over` is what is left of the last one.
fn next_job(shared: &Shared, over: Option<Request>) -> Option<Job> {
    let mut queue = shared.queue();
    if let Some(request) = over
        && queue.spare.len() < super::SPARE_REQUESTS
    {
        queue.spare.push(request);
    }
    let job = queue.jobs.pop_front()?;
    queue.taken = queue.taken.wrapping_add(1);
    Some(job)
}

fn serve(py: Python<'_>, runner: &mut Runner, job: Job, busy: &AtomicU64, shared: &Shared) -> Request {
    let Job { mut request, outbox } = job;
    if outbox.is_gone() {
        // The client has not waited; the application never hears of it.
        return request;
    }
    match runner.start(py, &mut request, Way::Outbox(Arc::clone(&outbox))) {
        Ok(run) => runner.spare = go_through(py, run, busy, shared),
        Err(error) => {
            report(py, &error);
            outbox.end(&mut Vec::new(), None, None, Completion::Cut { reset: true });
        }
    }
    request
}

/// Answers memory for the next one.
fn go_through(py: Python<'_>, mut run: Run, busy: &AtomicU64, shared: &Shared) -> Vec<u8> {
    loop {
        match run.step(py) {
            Step::More => busy.store(shared.millis(), Ordering::Relaxed),
            Step::Gone => return Vec::new(),
            Step::End(file, ending) => {
                let mut answer = run.start_response.get().answer();
                answer.hand_over_end(file, ending);
                let memory = std::mem::take(&mut answer.wire);
                return if memory.capacity() <= LARGE_WIRE { memory } else { Vec::new() };
            }
        }
    }
}

/// One request, on its way through the pool.
#[derive(Debug)]
pub(super) struct PoolAnswer {
    pool: Arc<Pool>,
    /// Until it is handed over.
    request: Option<Request>,
    outbox: Arc<Outbox>,
}

impl PoolAnswer {
    pub(super) fn new(pool: Arc<Pool>, request: Request, connection: Key) -> Self {
        let memory = locked(&pool.spare_wires).pop().unwrap_or_default();
        let outbox = Arc::new(Outbox::new(Arc::clone(&pool.shared.bell), connection, memory));
        Self { pool, request: Some(request), outbox }
    }
}

impl PendingResponse for PoolAnswer {
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status> {
        match &mut self.request {
            Some(request) => super::spool_piece(request, bytes),
            None => Ok(()),
        }
    }

    fn begin(&mut self) {
        match self.request.take() {
            Some(request) => self.pool.submit(Job { request, outbox: Arc::clone(&self.outbox) }),
            None => error!("a request was begun twice"),
        }
    }

    fn poll(&mut self, out: &mut OutQueue) -> Progress {
        self.pool.moved.store(true, Ordering::Relaxed);
        let progress = self.outbox.fetch(out);
        if matches!(progress, Progress::End(_)) {
            self.pool.keep(self.outbox.take_memory());
        }
        progress
    }

    fn status(&self) -> Option<(Status, u64)> {
        self.outbox.answered()
    }
}

impl Drop for PoolAnswer {
    fn drop(&mut self) {
        self.outbox.leave();
    }
}
