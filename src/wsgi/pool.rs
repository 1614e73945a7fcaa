//! The application in a pool of threads: the loop hands over whole requests, and never runs Python itself.
//!
//! ```text
//! loop: begin ──► JobQueue ──► thread: call the application ──► Outbox ──(BatchedWaker)──► loop: poll
//! ```
//!
//! A thread is attached to the interpreter as long as it lives, and detaches while it waits. To attach again for each
//! request costs eight microseconds, and loses what the application keeps in `threading.local`.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::Builder;
use std::time::Duration;

use log::error;
use pyo3::prelude::*;

use super::activity::{self, ThreadActivity};
use super::batched_waker::{BatchedWaker, RECHECK};
use super::cut_off::{CutOff, RequestLabel};
use super::environ::Application;
use super::job_queue::{Job, JobQueue};
use super::outbox::Outbox;
use super::request::OwnedRequest;
use super::response::Delivery;
use super::run::{Run, RunStep, Runner, report};
use super::shared::lock;
use crate::chat::OutQueue;
use crate::http1::{Completion, PendingResponse, Progress, Status};
use crate::reactor::Waker;
use crate::slab::Key;

/// Memory of responses that is kept for the next ones: how many, and how large.
const MAX_SPARE_WIRES: usize = 16;
const MAX_SPARE_WIRE: usize = 128 * 1024;

/// What the loop and the threads share.
#[derive(Debug)]
struct PoolState {
    queue: JobQueue,
    waker: Arc<BatchedWaker>,
    activity: Arc<ThreadActivity>,
}

/// What only the loop uses.
#[derive(Debug, Default)]
struct LoopSide {
    /// Requests of this turn of the loop. They are handed over together.
    jobs: VecDeque<Job>,
    requests: Vec<OwnedRequest>,
    /// Memory of responses that were fetched. Without it one thread allocates what another one frees, and the kernel
    /// clears each page of a large response again.
    wires: Vec<Vec<u8>>,
    /// Whether requests or responses have passed in this turn.
    is_busy: bool,
}

/// The threads of a worker, as the loop sees them.
#[derive(Debug)]
pub(super) struct Pool {
    state: Arc<PoolState>,
    /// The lock is always free. It makes the pool `Sync`, because a [`PendingResponse`] is `Send`.
    loop_side: Mutex<LoopSide>,
    /// What the end of a drain cuts off.
    pub(super) cut_off: CutOff,
}

impl Pool {
    /// Starts `count` threads; `waker` wakes the loop.
    ///
    /// # Errors
    /// As pthread_create(3).
    pub(super) fn start(count: usize, application: &Arc<Application>, waker: Waker) -> io::Result<Self> {
        let waker = Arc::new(BatchedWaker::new(waker));
        let activity = Arc::new(ThreadActivity::of_threads(count));
        let state = Arc::new(PoolState { queue: JobQueue::default(), waker, activity });
        for number in 0..count {
            let (state, application) = (Arc::clone(&state), Arc::clone(application));
            Builder::new()
                .name(format!("wsgi-{number}"))
                .stack_size(8 * 1024 * 1024)
                .spawn(move || work(&state, &application, number))?;
        }
        Ok(Self { state, loop_side: Mutex::default(), cut_off: CutOff::default() })
    }

    fn loop_side(&self) -> MutexGuard<'_, LoopSide> {
        lock(&self.loop_side)
    }

    /// Hands over the requests of this turn. Returns how long the loop may wait.
    pub(super) fn before_waiting(&self) -> Option<Duration> {
        let mut side = self.loop_side();
        let LoopSide { jobs, requests, is_busy, .. } = &mut *side;
        let was_busy = std::mem::take(is_busy) || !jobs.is_empty();
        let is_waiting = self.state.queue.take(jobs, requests, self.state.activity.threads());
        let rechecks = was_busy || is_waiting;
        let is_awake = self.state.waker.before_waiting(rechecks);
        (rechecks && !is_awake).then_some(RECHECK)
    }

    /// The activity of the threads, which may outlive the pool.
    pub(super) fn activity(&self) -> &Arc<ThreadActivity> {
        &self.state.activity
    }

    /// Returns memory for a request.
    pub(super) fn spare_request(&self) -> OwnedRequest {
        self.loop_side().requests.pop().unwrap_or_default()
    }
}

impl LoopSide {
    fn keep_wire(&mut self, wire: Vec<u8>) {
        if self.wires.len() < MAX_SPARE_WIRES && (1..=MAX_SPARE_WIRE).contains(&wire.capacity()) {
            self.wires.push(wire);
        }
    }
}

impl Drop for Pool {
    /// Threads that wait for a job end now; threads that are in the application end with the process.
    fn drop(&mut self) {
        self.state.queue.close();
    }
}

/// A thread of the pool.
fn work(state: &PoolState, application: &Arc<Application>, number: usize) {
    state.activity.register(number);
    Python::attach(|py| {
        let mut runner = Runner::new(py, Arc::clone(application));
        while py.detach(|| state.queue.wait()) {
            // A thread takes a job when it has the interpreter: no job waits with a thread that waits for that.
            let mut finished = None;
            let mut found = false;
            while let Some(job) = state.queue.next(finished.take()) {
                activity::note_progress();
                finished = Some(serve(py, &mut runner, job));
                activity::leave();
                found = true;
            }
            state.queue.note_wake(found);
            state.waker.flush();
        }
    });
}

/// Serves one request. Returns it, for its memory.
fn serve(py: Python<'_>, runner: &mut Runner, job: Job) -> OwnedRequest {
    let Job { mut request, outbox } = job;
    if outbox.is_gone() {
        // The client did not wait. The application is not called.
        return request;
    }
    match runner.start(py, &mut request, Delivery::Outbox(Arc::clone(&outbox))) {
        Ok(run) => runner.spare = complete(py, run),
        Err(error) => {
            report(py, &error);
            outbox.end(&mut Vec::new(), None, None, Completion::Cut { reset: true });
        }
    }
    request
}

/// Runs the application to its end. Returns memory for the next response.
fn complete(py: Python<'_>, mut run: Run) -> Vec<u8> {
    loop {
        match run.step(py) {
            RunStep::More => activity::note_progress(),
            RunStep::Gone => return Vec::new(),
            RunStep::End(file, completion) => {
                let mut response = run.response();
                response.hand_over_end(file, completion);
                let memory = std::mem::take(&mut response.wire);
                return if memory.capacity() <= MAX_SPARE_WIRE { memory } else { Vec::new() };
            }
        }
    }
}

/// A response that a thread of the pool makes.
#[derive(Debug)]
pub(super) struct PoolResponse {
    pool: Arc<Pool>,
    /// The request, until it is handed over.
    request: Option<OwnedRequest>,
    label: RequestLabel,
    outbox: Arc<Outbox>,
}

impl PoolResponse {
    pub(super) fn new(pool: Arc<Pool>, request: OwnedRequest, connection: Key) -> Self {
        let memory = pool.loop_side().wires.pop().unwrap_or_default();
        let outbox = Arc::new(Outbox::new(Arc::clone(&pool.state.waker), connection, memory));
        let label = RequestLabel::of(&request);
        Self { pool, request: Some(request), label, outbox }
    }
}

impl PendingResponse for PoolResponse {
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status> {
        self.request.as_mut().map_or(Ok(()), |request| request.push_body(bytes))
    }

    fn begin(&mut self) {
        match self.request.take() {
            Some(request) => {
                self.pool.loop_side().jobs.push_back(Job { request, outbox: Arc::clone(&self.outbox) });
            }
            None => error!("a request was begun twice"),
        }
    }

    fn poll(&mut self, out: &mut OutQueue) -> Progress {
        let progress = self.outbox.fetch(out);
        let mut side = self.pool.loop_side();
        side.is_busy = true;
        if matches!(progress, Progress::End(_)) {
            side.keep_wire(self.outbox.take_memory());
        }
        progress
    }

    fn status(&self) -> Option<(Status, u64)> {
        self.outbox.status()
    }
}

impl Drop for PoolResponse {
    fn drop(&mut self) {
        self.outbox.leave();
        self.pool.cut_off.note(&self.label);
    }
}
