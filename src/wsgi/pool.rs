//! The application in a pool of threads: the loop hands over whole requests, and never runs Python itself.
//!
//! ```text
//! loop: begin ──► JobQueue ──► thread: call the application ──► Outbox ──(BatchedWaker)──► loop: poll
//! ```
//!
//! A thread is attached to the interpreter as long as it lives, and detaches while it waits. To attach again for each
//! request costs eight microseconds, and loses what the application keeps in `threading.local`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use log::{error, warn};
use pyo3::prelude::*;

use super::activity::{self, Substitution, ThreadActivity};
use super::batched_waker::{BatchedWaker, RECHECK};
use super::current;
use super::cut_off::{CutLabel, CutOff};
use super::environ::Application;
use super::error_log::failure as report;
use super::job_queue::{Job, JobQueue, Wake};
use super::outbox::Outbox;
use super::python_thread;
use super::request::OwnedRequest;
use super::response::{ApplicationResponse, Delivery};
use super::run::{Run, RunStep, Runner};
use super::shared::lock;
use super::thread_counts::ThreadCounts;
use super::wire::{FramedBytes, SpareWires};
use crate::chat::OutQueue;
use crate::http1::{Completion, PendingResponse, Progress, Status};
use crate::reactor::Waker;
use crate::slab::Key;

/// Memory of responses that is kept for the next ones.
const MAX_SPARE_WIRES: usize = 16;

/// What the loop and the threads share.
struct PoolState {
    /// Itself, for the threads that its threads start.
    this: Weak<Self>,
    queue: JobQueue,
    waker: Arc<BatchedWaker>,
    activity: Arc<ThreadActivity>,
    application: Arc<Application>,
}

/// What only the loop uses.
#[derive(Debug, Default)]
struct LoopSide {
    /// Requests of this turn of the loop. They are handed over together.
    jobs: VecDeque<Job>,
    requests: Vec<OwnedRequest>,
    /// Memory of responses that were fetched. Without it one thread allocates what another one frees, and the kernel
    /// clears each page of a large response again.
    wires: SpareWires,
    /// Whether requests or responses have passed in this turn.
    is_busy: bool,
    /// Clients that have left before their responses ended. Their jobs may be in the queue.
    gone: usize,
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
    /// Starts `count` threads. Up to `spare` others run in the place of threads that wait for slow clients. `waker`
    /// wakes the loop.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn start(
        py: Python<'_>,
        (count, spare): (usize, usize),
        application: &Arc<Application>,
        waker: Waker,
    ) -> PyResult<Self> {
        let state = Arc::new_cyclic(|this| PoolState {
            this: Weak::clone(this),
            queue: JobQueue::new(ThreadCounts::new(count, spare)),
            waker: Arc::new(BatchedWaker::new(waker)),
            activity: Arc::new(ThreadActivity::of_threads(count + spare)),
            application: Arc::clone(application),
        });
        for _ in 0..count {
            state.queue.start_thread().map_or(Ok(()), |number| state.start_thread(py, number))?;
        }
        Ok(Self { state, loop_side: Mutex::default(), cut_off: CutOff::default() })
    }

    fn loop_side(&self) -> MutexGuard<'_, LoopSide> {
        lock(&self.loop_side)
    }

    /// Hands over the requests of this turn, or refuses them and those that wait. Returns how long the loop may wait.
    pub(super) fn before_waiting(&self, refuses: bool) -> Option<Duration> {
        let mut side = self.loop_side();
        let LoopSide { jobs, requests, is_busy, gone, .. } = &mut *side;
        let was_busy = std::mem::take(is_busy) || !jobs.is_empty();
        let is_waiting = self.state.queue.take(jobs, requests);
        if *gone > 0 && self.state.queue.sweep(*gone) {
            *gone = 0;
        }
        if refuses {
            self.refuse_waiting();
        }
        let rechecks = was_busy || is_waiting;
        let is_awake = self.state.waker.before_waiting(rechecks);
        let release = self.state.application.context.sent.wait();
        if release.is_some_and(|wait| wait.is_zero()) {
            self.state.queue.wake_for_release();
        }
        let recheck = (rechecks && !is_awake).then_some(RECHECK);
        recheck.into_iter().chain(release.filter(|wait| !wait.is_zero())).min()
    }

    /// The activity of the threads, which may outlive the pool.
    pub(super) fn activity(&self) -> &Arc<ThreadActivity> {
        &self.state.activity
    }

    /// For how long no request was begun, if one waits; and whether threads wait for requests, which cannot begin one
    /// without the interpreter.
    pub(super) fn waiting(&self) -> Option<(Duration, bool)> {
        self.state.queue.waiting()
    }

    /// Refuses the requests that were not begun: 503. A client may send them again, to another worker.
    fn refuse_waiting(&self) {
        for Job { request, outbox } in self.state.queue.take_back() {
            let context = Arc::clone(&self.state.application.context);
            let delivery = Delivery::Outbox(outbox);
            let mut response = ApplicationResponse::new(request.facts, context, Vec::new(), delivery);
            let completion = response.refuse();
            response.hand_over_end(None, completion);
        }
    }

    /// Returns memory for a request.
    pub(super) fn spare_request(&self) -> OwnedRequest {
        self.loop_side().requests.pop().unwrap_or_default()
    }
}

impl Drop for Pool {
    /// Threads that wait for a job end now; threads that are in the application end with the process.
    fn drop(&mut self) {
        self.state.queue.close();
    }
}

impl fmt::Debug for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolState").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl PoolState {
    /// Starts the thread with this number, which the queue has counted.
    fn start_thread(&self, py: Python<'_>, number: usize) -> PyResult<()> {
        let Some(state) = self.this.upgrade() else {
            return Ok(());
        };
        let started = python_thread::start(py, &format!("wsgi-{number}"), move |py| state.work(py, number));
        started.inspect_err(|_| self.queue.give_up_thread(number))
    }

    /// As [`Self::start_thread`], on a thread that goes on without it.
    fn start_spare_thread(&self, py: Python<'_>, number: usize) {
        if let Err(error) = self.start_thread(py, number) {
            warn!("a thread cannot be started: {error}");
        }
    }

    /// A thread of the pool.
    fn work(&self, py: Python<'_>, number: usize) {
        let identifier = python_thread::identifier(py);
        if let Some(state) = self.this.upgrade() {
            self.activity.register(number, identifier, state);
        }
        current::learn_thread_name(py);
        let mut runner = Runner::new(py, Arc::clone(&self.application));
        loop {
            let woken = py.detach(|| self.queue.wait(number));
            self.application.context.sent.release(py);
            match woken {
                Wake::End => return,
                Wake::Release => continue,
                Wake::Work => {}
                Wake::StartAndWork(number) => self.start_spare_thread(py, number),
            }
            // A thread takes a job when it has the interpreter: no job waits with a thread that waits for that.
            let mut finished = None;
            let mut found = false;
            while let Some(job) = self.queue.next(finished.take()) {
                activity::note_progress();
                finished = Some(serve(py, &mut runner, job));
                self.application.context.sent.release(py);
                activity::leave();
                found = true;
            }
            self.queue.note_wake(found);
            self.waker.flush();
        }
    }
}

impl Substitution for PoolState {
    fn park(&self) -> Option<usize> {
        self.queue.park()
    }

    fn start(&self, py: Python<'_>, number: usize) {
        self.start_spare_thread(py, number);
    }

    fn unpark(&self) {
        self.queue.unpark();
    }
}

/// Serves one request. Returns it, for its memory.
fn serve(py: Python<'_>, runner: &mut Runner, job: Job) -> OwnedRequest {
    let Job { mut request, outbox } = job;
    if !outbox.begin() {
        // The client did not wait.
        return request;
    }
    match runner.start(py, &mut request, Delivery::Outbox(Arc::clone(&outbox))) {
        Ok(run) => runner.spare = complete(py, run),
        Err(error) => {
            report(py, &error);
            outbox.end(&mut FramedBytes::default(), None, None, Completion::Cut { reset: true });
        }
    }
    request
}

/// Runs the application to its end. Returns memory for the next response.
fn complete(py: Python<'_>, mut run: Run) -> Vec<u8> {
    loop {
        match run.step(py) {
            RunStep::More => {}
            RunStep::Gone => return Vec::new(),
            RunStep::End(file, completion) => {
                let mut response = run.response();
                response.hand_over_end(file, completion);
                let memory = response.take_wire().bytes;
                return if SpareWires::is_worth_keeping(&memory) { memory } else { Vec::new() };
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
    label: CutLabel,
    outbox: Arc<Outbox>,
    is_over: bool,
}

impl PoolResponse {
    /// `runs_abandoned`: the application is called although the client is gone.
    pub(super) fn new(pool: Arc<Pool>, request: OwnedRequest, connection: Key, runs_abandoned: bool) -> Self {
        let memory = pool.loop_side().wires.take();
        let outbox = Arc::new(Outbox::new(Arc::clone(&pool.state.waker), connection, memory, runs_abandoned));
        let label = CutLabel::of(&request);
        Self { pool, request: Some(request), label, outbox, is_over: false }
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

    /// A client that closes its half while its request waits for a thread is taken for one that has left. It may be one that
    /// still reads, which therefore has its response if a thread is free.
    fn end_input(&mut self) -> bool {
        let coming = self.pool.loop_side().jobs.len();
        !self.pool.state.queue.has_threads_for(coming) && self.outbox.give_up()
    }

    fn poll(&mut self, out: &mut OutQueue) -> Progress {
        let progress = self.outbox.fetch(out);
        let mut side = self.pool.loop_side();
        side.is_busy = true;
        if matches!(progress, Progress::End(_)) {
            self.is_over = true;
            side.wires.keep(self.outbox.take_memory(), MAX_SPARE_WIRES);
        }
        progress
    }

    fn status(&self) -> Option<(Status, u64)> {
        self.outbox.status()
    }

    fn fields(&self) -> Vec<u8> {
        self.outbox.fields()
    }
}

impl Drop for PoolResponse {
    fn drop(&mut self) {
        self.outbox.leave();
        self.pool.loop_side().gone += usize::from(!self.is_over);
        self.pool.cut_off.note(&self.label);
    }
}
