//! The application on the loop (`--threads 0`): the fastest way for one that never waits. An application that waits
//! makes every client of the worker wait.

use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::prelude::*;

use super::cut_off::{CutLabel, CutOff};
use super::error_log::failure as report;
use super::lent_socket::LentSocket;
use super::request::OwnedRequest;
use super::response::Delivery;
use super::run::{Run, RunStep, Runner};
use super::shared::lock;
use crate::chat::OutQueue;
use crate::clock::Instant;
use crate::http1::{Completion, PendingResponse, Progress, Status};

/// A piece that took less time than this is likely to be followed by the next one soon.
const QUICK: Duration = Duration::from_millis(1);

/// The application of a loop, and memory for its requests. The locks are always free.
#[derive(Debug)]
pub(super) struct Inline {
    runner: Mutex<Runner>,
    spare: Mutex<Vec<OwnedRequest>>,
    /// What the end of a drain cuts off.
    pub(super) cut_off: CutOff,
}

impl Inline {
    pub(super) fn new(runner: Runner) -> Self {
        Self { runner: Mutex::new(runner), spare: Mutex::default(), cut_off: CutOff::default() }
    }

    /// Returns memory for a request.
    pub(super) fn spare_request(&self) -> OwnedRequest {
        lock(&self.spare).pop().unwrap_or_default()
    }
}

/// A response that the loop makes, one step of the application for each poll.
#[derive(Debug)]
pub(super) struct InlineResponse {
    inline: Arc<Inline>,
    /// The connection's descriptor: the response lives no longer than the connection.
    socket: RawFd,
    /// The request, until the application is called.
    request: Option<OwnedRequest>,
    label: CutLabel,
    run: Option<Run>,
    /// Whether the first step was made.
    has_begun: bool,
}

impl InlineResponse {
    pub(super) fn new(inline: Arc<Inline>, request: OwnedRequest, socket: RawFd) -> Self {
        let label = CutLabel::of(&request);
        Self { inline, socket, request: Some(request), label, run: None, has_begun: false }
    }

    fn start(&mut self, py: Python<'_>, socket: Option<LentSocket>) -> Option<Run> {
        let mut request = self.request.take()?;
        let started = lock(&self.inline.runner).start(py, &mut request, Delivery::Loop(socket));
        request.keep_in(&mut lock(&self.inline.spare));
        started.inspect_err(|error| report(py, error)).ok()
    }
}

impl PendingResponse for InlineResponse {
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status> {
        self.request.as_mut().map_or(Ok(()), |request| request.push_body(bytes))
    }

    fn begin(&mut self) {}

    fn poll(&mut self, out: &mut OutQueue) -> Progress {
        Python::attach(|py| {
            // What `write` sends now would overtake the bytes in the queue.
            let socket = out.is_empty().then(|| LentSocket::new(self.socket));
            match &self.run {
                Some(run) => run.response().lend_socket(socket),
                None => self.run = self.start(py, socket),
            }
            let Some(run) = &mut self.run else {
                return Progress::End(Completion::Cut { reset: true });
            };
            let begun = Instant::now();
            let step = run.step(py);
            let mut response = run.response();
            out.note_taken(response.take_back_socket());
            out.push_from(&mut response.wire);
            // PEP 3333: a piece is sent before the next one is asked for, or while it is made. The first piece is sent
            // before, because the client waits for it. The kernel holds the others back for a moment: one segment for
            // many pieces costs it much less.
            let is_soon = std::mem::replace(&mut self.has_begun, true) && begun.elapsed() < QUICK;
            match step {
                RunStep::More if is_soon => Progress::Soon,
                RunStep::More => Progress::More,
                RunStep::Gone => Progress::End(Completion::Cut { reset: false }),
                RunStep::End(file, completion) => {
                    if let Some(file) = file {
                        out.push_file(file);
                    }
                    lock(&self.inline.runner).spare = std::mem::take(&mut response.wire);
                    Progress::End(completion)
                }
            }
        })
    }

    fn status(&self) -> Option<(Status, u64)> {
        self.run.as_ref()?.response().status()
    }

    fn fields(&self) -> Vec<u8> {
        self.run.as_ref().map(|run| run.response().fields().to_vec()).unwrap_or_default()
    }
}

impl Drop for InlineResponse {
    fn drop(&mut self) {
        self.inline.cut_off.note(&self.label);
    }
}
