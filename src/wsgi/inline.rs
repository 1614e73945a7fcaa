//! The application on the loop (`--threads 0`): the fastest way for one that never waits, and the lesson of what
//! waiting does to everyone else for one that does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::prelude::*;

use super::answer::Way;
use super::direct::Direct;
use super::locked;
use super::request::Request;
use super::run::{Run, Runner, Step, report};
use crate::chat::OutQueue;
use crate::clock::Instant;
use crate::http1::{Completion, PendingResponse, Progress, Status};

/// A piece that was made so quickly will soon have another one behind it.
const QUICK: Duration = Duration::from_millis(1);

/// What the requests of a loop share.
#[derive(Debug)]
pub(super) struct Inline {
    runner: Mutex<Runner>,
    /// Memory of requests that are over.
    pub(super) spare: Mutex<Vec<Request>>,
}

impl Inline {
    pub(super) fn new(runner: Runner) -> Self {
        Self { runner: Mutex::new(runner), spare: Mutex::default() }
    }
}

/// One request, answered while the loop asks for it.
#[derive(Debug)]
pub(super) struct InlineAnswer {
    inline: Arc<Inline>,
    /// Until the application is called.
    request: Option<Request>,
    run: Option<Run>,
    /// Something of the answer has been put out.
    begun: bool,
}

impl InlineAnswer {
    pub(super) fn new(inline: Arc<Inline>, request: Request) -> Self {
        Self { inline, request: Some(request), run: None, begun: false }
    }

    /// `is_first`: nothing waits to be sent before the answer.
    fn start(&mut self, py: Python<'_>, is_first: bool) -> Option<Run> {
        let mut request = self.request.take()?;
        let direct = request.peer.filter(|_| is_first).map(|peer| Direct::new(peer.socket));
        let started = locked(&self.inline.runner).start(py, &mut request, Way::Loop(direct));
        let mut spare = locked(&self.inline.spare);
        if spare.len() < super::SPARE_REQUESTS {
            spare.push(request);
        }
        started.inspect_err(|error| report(py, error)).ok()
    }
}

impl PendingResponse for InlineAnswer {
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status> {
        match &mut self.request {
            Some(request) => super::spool_piece(request, bytes),
            None => Ok(()),
        }
    }

    fn begin(&mut self) {}

    fn poll(&mut self, out: &mut OutQueue) -> Progress {
        Python::attach(|py| {
            if self.run.is_none() {
                self.run = self.start(py, out.is_empty());
            }
            let Some(run) = &mut self.run else {
                return Progress::End(Completion::Cut { reset: true });
            };
            let asked = Instant::now();
            let step = run.step(py);
            let mut answer = run.start_response.get().answer();
            out.note_taken(answer.take_sent());
            out.push_from(&mut answer.wire);
            // PEP 3333: a piece is sent at once, or goes on being sent while the next one is made. The kernel does the
            // second, and one segment for many pieces costs it much less. The first piece is what a client waits for.
            let is_soon = std::mem::replace(&mut self.begun, true) && asked.elapsed() < QUICK;
            match step {
                Step::More if is_soon => Progress::Soon,
                Step::More => Progress::More,
                Step::Gone => Progress::End(Completion::Cut { reset: false }),
                Step::End(file, ending) => {
                    if let Some(file) = file {
                        out.push_file(file);
                    }
                    locked(&self.inline.runner).spare = std::mem::take(&mut answer.wire);
                    Progress::End(ending)
                }
            }
        })
    }

    fn status(&self) -> Option<(Status, u64)> {
        self.run.as_ref()?.start_response.get().answer().status()
    }
}

/// The application may keep `write` for as long as it likes, and with it the answer.
impl Drop for InlineAnswer {
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            run.start_response.get().answer().release_socket();
        }
    }
}
