//! The application on the loop (`--threads 0`), for one that never waits. One that waits makes every client of the worker
//! wait.
//!
//! ```text
//! turn 1: receive, receive, receive ──► turn 2: call, call, call; send, send, send
//! ```
//!
//! The requests of one turn are collected, and the next turn calls the application for all of them in a row. The code and
//! data of the application stay in the caches of the processor meanwhile, and a client that is awake for one response
//! finds the others. A request that comes alone is not made to wait for a turn.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::prelude::*;

use super::cut_off::{CutLabel, CutOff};
use super::error_log::failure as report;
use super::lent_output::LentOutput;
use super::request::OwnedRequest;
use super::response::Delivery;
use super::run::{Run, RunStep, Runner};
use super::shared::{WorkerContext, lock};
use super::wire::{FramedBytes, SpareWires};
use crate::chat::{FileSlice, OutQueue};
use crate::clock::Instant;
use crate::http1::{Completion, PendingResponse, Progress, Status};
use crate::reactor::Waker;
use crate::server::PeerInfo;
use crate::slab::Key;

/// A piece that took less time than this is likely to be followed by the next one soon.
const QUICK: Duration = Duration::from_millis(1);

/// The time after which no further call is made before the responses so far are sent.
const BATCH: Duration = Duration::from_millis(3);

/// The mean time of a call from which on requests are collected. The caches help a quick application less than the
/// second turn costs.
const WORTH_COLLECTING: Duration = Duration::from_micros(20);

/// Bytes of a body from which on a request is not collected: the bodies of a batch would not fit into the caches.
const LONG_BODY: u64 = 16 * 1024;

/// Memory of responses that is kept for the next ones.
const MAX_SPARE_WIRES: usize = 64;

/// The application of a loop, and memory for its requests. The locks are always free.
#[derive(Debug)]
pub(super) struct Inline {
    runner: Mutex<Runner>,
    context: Arc<WorkerContext>,
    waker: Waker,
    queue: Mutex<InlineQueue>,
    /// What the end of a drain cuts off.
    pub(super) cut_off: CutOff,
}

#[derive(Debug, Default)]
struct InlineQueue {
    jobs: VecDeque<Arc<InlineJob>>,
    /// The connections of the jobs that were added in this turn.
    added: Vec<Key>,
    /// Requests that were whole in this turn.
    count: usize,
    /// Whether there were several in the last turn with any.
    is_busy: bool,
    /// The mean time of the last calls.
    mean: Duration,
    requests: Vec<OwnedRequest>,
    wires: SpareWires,
}

/// A request that waits for the application, then the first step of its response.
#[derive(Debug)]
struct InlineJob {
    socket: RawFd,
    state: Mutex<JobState>,
}

#[derive(Debug)]
enum JobState {
    Waiting(OwnedRequest),
    Stepped(Box<Stepped>),
    /// The response has the step, or the client is gone.
    Taken,
}

/// The result of one step, or of a call that failed.
#[derive(Debug, Default)]
struct Stepped {
    /// Output from before the step, and what `write` has left of its own.
    queue: OutQueue,
    /// Follows `queue`.
    wire: FramedBytes,
    /// Follows `wire`.
    file: Option<FileSlice>,
    status: Option<(Status, u64)>,
    /// The fields of the head, if the log wants them.
    fields: Vec<u8>,
    /// The time of the step.
    took: Duration,
    /// For the next step.
    run: Option<Run>,
    completion: Option<Completion>,
}

impl Inline {
    pub(super) fn new(runner: Runner, context: Arc<WorkerContext>, waker: Waker) -> Self {
        let (queue, cut_off) = (Mutex::default(), CutOff::default());
        Self { runner: Mutex::new(runner), context, waker, queue, cut_off }
    }

    /// Returns memory for a request.
    pub(super) fn spare_request(&self) -> OwnedRequest {
        lock(&self.queue).requests.pop().unwrap_or_default()
    }

    /// At the end of a turn: wakes the connections whose requests were collected. Returns how long the loop may wait.
    pub(super) fn before_waiting(&self) -> Option<Duration> {
        let mut queue = lock(&self.queue);
        // The turn that makes responses may receive nothing.
        if queue.count > 0 {
            queue.is_busy = std::mem::take(&mut queue.count) > 1;
        }
        // It fails only after the loop has ended.
        let _ = self.waker.wake_all(&mut queue.added);
        drop(queue);
        let wait = self.context.sent.wait()?;
        if wait.is_zero() {
            Python::attach(|py| self.context.sent.release(py));
            return None;
        }
        Some(wait)
    }

    /// Counts a request of this turn. Returns whether it is collected.
    fn is_collecting(&self, request: &OwnedRequest) -> bool {
        let mut queue = lock(&self.queue);
        queue.count += 1;
        queue.is_busy && queue.mean >= WORTH_COLLECTING && request.body.len() < LONG_BODY
    }

    /// Adds a request to those that the next turn calls the application for.
    fn collect(&self, request: OwnedRequest, connection: Key, socket: RawFd) -> Arc<InlineJob> {
        let job = Arc::new(InlineJob { socket, state: Mutex::new(JobState::Waiting(request)) });
        let mut queue = lock(&self.queue);
        queue.jobs.push_back(Arc::clone(&job));
        queue.added.push(connection);
        job
    }

    /// Calls the application for the requests that were collected, in their order, until `wanted` was among them and the
    /// time of a batch is over.
    fn run_jobs(&self, py: Python<'_>, wanted: &Arc<InlineJob>) {
        let begun = Instant::now();
        let mut is_wanted = true;
        while is_wanted || begun.elapsed() < BATCH {
            let Some(job) = lock(&self.queue).jobs.pop_front() else {
                return;
            };
            is_wanted &= !Arc::ptr_eq(&job, wanted);
            let state = std::mem::replace(&mut *lock(&job.state), JobState::Taken);
            if let JobState::Waiting(request) = state {
                // Output was empty when the request was collected, and nothing else is queued for its connection.
                let stepped = self.start(py, request, OutQueue::new(), job.socket);
                *lock(&job.state) = JobState::Stepped(Box::new(stepped));
            }
        }
    }

    /// Calls the application, and makes the first step. `queue` is the output of the connection.
    fn start(&self, py: Python<'_>, mut request: OwnedRequest, queue: OutQueue, socket: RawFd) -> Stepped {
        let started = lock(&self.runner).start(py, &mut request, Delivery::Loop(None));
        request.keep_in(&mut lock(&self.queue).requests);
        match started {
            Ok(run) => {
                let stepped = self.step(py, run, queue, socket);
                let mean = &mut lock(&self.queue).mean;
                *mean = (*mean * 7 + stepped.took) / 8;
                stepped
            }
            Err(error) => {
                report(py, &error);
                Stepped::cut(queue)
            }
        }
    }

    /// Makes one step.
    fn step(&self, py: Python<'_>, mut run: Run, queue: OutQueue, socket: RawFd) -> Stepped {
        self.context.sent.release(py);
        let memory = lock(&self.queue).wires.take();
        run.response().lend_output(LentOutput::new(queue, socket, self.context.patience), memory);
        let begun = Instant::now();
        let step = run.step(py);
        let took = begun.elapsed();
        let mut response = run.response();
        let (queue, wire, status) = (response.take_back_output(), response.take_wire(), response.status());
        let fields = if self.context.logs_fields { response.fields().to_vec() } else { Vec::new() };
        drop(response);
        let stepped = Stepped { queue, wire, status, fields, took, ..Stepped::default() };
        // The end of a run is dropped here, with the interpreter.
        match step {
            RunStep::More => Stepped { run: Some(run), ..stepped },
            RunStep::Gone => Stepped { completion: Some(Completion::Cut { reset: false }), ..stepped },
            RunStep::End(file, completion) => Stepped { file, completion: Some(completion), ..stepped },
        }
    }
}

/// A response that the loop makes, one step of the application for each poll.
#[derive(Debug)]
pub(super) struct InlineResponse {
    inline: Arc<Inline>,
    connection: Key,
    /// The connection's descriptor: the response lives no longer than the connection.
    socket: RawFd,
    label: CutLabel,
    state: InlineState,
    status: Option<(Status, u64)>,
    fields: Vec<u8>,
    /// Whether the first step was made.
    has_begun: bool,
}

#[derive(Debug)]
enum InlineState {
    Request(OwnedRequest),
    Collected(Arc<InlineJob>),
    Running(Run),
    Over,
}

impl InlineResponse {
    pub(super) fn new(inline: Arc<Inline>, request: OwnedRequest, peer: &PeerInfo) -> Self {
        let label = CutLabel::of(&request);
        let state = InlineState::Request(request);
        let (connection, socket) = (peer.connection, peer.socket);
        let (status, fields, has_begun) = (None, Vec::new(), false);
        Self { inline, connection, socket, label, state, status, fields, has_begun }
    }

    /// Goes on by one step. Returns `None` if the next turn does that.
    fn step(&mut self, out: &mut OutQueue) -> Option<Stepped> {
        let (inline, socket) = (&self.inline, self.socket);
        match std::mem::replace(&mut self.state, InlineState::Over) {
            InlineState::Request(request) if out.is_empty() && inline.is_collecting(&request) => {
                self.state = InlineState::Collected(inline.collect(request, self.connection, socket));
                None
            }
            InlineState::Request(request) => {
                Some(Python::attach(|py| inline.start(py, request, std::mem::take(out), socket)))
            }
            InlineState::Running(run) => {
                Some(Python::attach(|py| inline.step(py, run, std::mem::take(out), socket)))
            }
            InlineState::Collected(job) => {
                let is_waiting = matches!(*lock(&job.state), JobState::Waiting(_));
                if is_waiting {
                    Python::attach(|py| inline.run_jobs(py, &job));
                }
                match std::mem::replace(&mut *lock(&job.state), JobState::Taken) {
                    JobState::Stepped(stepped) => Some(*stepped),
                    JobState::Waiting(_) | JobState::Taken => Some(Stepped::cut(OutQueue::new())),
                }
            }
            InlineState::Over => Some(Stepped::cut(std::mem::take(out))),
        }
    }
}

impl Stepped {
    /// A response that cannot be made.
    fn cut(queue: OutQueue) -> Self {
        Self { queue, completion: Some(Completion::Cut { reset: true }), ..Self::default() }
    }
}

impl PendingResponse for InlineResponse {
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status> {
        match &mut self.state {
            InlineState::Request(request) => request.push_body(bytes),
            _ => Ok(()),
        }
    }

    fn begin(&mut self) {}

    fn poll(&mut self, out: &mut OutQueue) -> Progress {
        let Some(mut stepped) = self.step(out) else {
            return Progress::Pending;
        };
        out.take_over(stepped.queue);
        stepped.wire.move_to(out);
        lock(&self.inline.queue).wires.keep(stepped.wire.bytes, MAX_SPARE_WIRES);
        if let Some(file) = stepped.file {
            out.push_file(file);
        }
        (self.status, self.fields) = (stepped.status, stepped.fields);
        if let Some(run) = stepped.run {
            self.state = InlineState::Running(run);
        }
        // PEP 3333: a piece is sent before the next one is asked for, or while it is made. The first piece is sent
        // before, because the client waits for it. The kernel holds the others back for a moment: one segment for many
        // pieces costs it much less.
        let is_soon = std::mem::replace(&mut self.has_begun, true) && stepped.took < QUICK;
        match stepped.completion {
            Some(completion) => Progress::End(completion),
            None if is_soon => Progress::Soon,
            None => Progress::More,
        }
    }

    fn status(&self) -> Option<(Status, u64)> {
        self.status
    }

    fn fields(&self) -> Vec<u8> {
        self.fields.clone()
    }
}

/// The client may be gone before the application is called.
impl Drop for InlineResponse {
    fn drop(&mut self) {
        self.inline.cut_off.note(&self.label);
        if let InlineState::Collected(job) = &self.state {
            *lock(&job.state) = JobState::Taken;
        }
    }
}
