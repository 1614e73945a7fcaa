//! One call of the application, and the steps through what it returns.
//!
//! ```text
//! Runner::start ──► Run ──step()*──► RunStep::End      the first step calls the application
//!                    └── dropped at any moment: close() is called, once
//! ```

use std::sync::{Arc, MutexGuard};

use pyo3::exceptions::{PyBrokenPipeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyTuple};

use super::environ::{Application, EnvironBuilder};
use super::error_log::failure as report;
use super::file_wrapper::WsgiFileWrapper;
use super::piece::BodyPiece;
use super::request::{OwnedRequest, RequestHead};
use super::response::{ApplicationResponse, Delivery, PushOutcome};
use super::start_response::StartResponse;
use super::{current, error_stream, forked};
use crate::chat::FileSlice;
use crate::http1::Completion;

/// Calls the application, on one thread.
#[derive(Debug)]
pub(super) struct Runner {
    application: Arc<Application>,
    environs: EnvironBuilder,
    /// Empty memory for the next response.
    pub(super) spare: Vec<u8>,
}

/// The result of one step.
#[derive(Debug)]
pub(super) enum RunStep {
    /// There is a piece, and there may be more.
    More,
    /// The response is over: the rest is in its `wire`, and the file follows.
    End(Option<FileSlice>, Completion),
    /// The client is gone.
    Gone,
}

/// One call of the application.
#[derive(Debug)]
pub(super) struct Run {
    start_response: Py<StartResponse>,
    /// What the application returned, until it is closed.
    result: Option<Py<PyAny>>,
    state: RunState,
    /// The head of the request, for the log, while no step is made.
    head: Option<Arc<RequestHead>>,
}

#[derive(Debug)]
enum RunState {
    /// The application is called with this environ.
    Ready(Py<PyAny>, Py<PyDict>),
    /// The application has returned.
    Returned,
    /// Its pieces are taken one by one.
    Iterating(Py<PyIterator>),
    /// It has raised an exception, or returned what it must not.
    Failed(PyErr),
    /// All pieces were taken.
    Finished,
}

impl Runner {
    pub(super) fn new(py: Python<'_>, application: Arc<Application>) -> Self {
        Self { application, environs: EnvironBuilder::new(py), spare: Vec::new() }
    }

    /// Makes the environ. The first step calls the application.
    ///
    /// # Errors
    /// `MemoryError`, or `OSError` for a body in a file.
    pub(super) fn start(
        &mut self,
        py: Python<'_>,
        request: &mut OwnedRequest,
        delivery: Delivery,
    ) -> PyResult<Run> {
        let outer = current::enter(Some(request.share_head()));
        let prepared = self.prepare(py, request, delivery);
        let head = error_stream::leave(outer);
        prepared.map(|mut run| {
            run.head = head;
            run
        })
    }

    fn prepare(&mut self, py: Python<'_>, request: &mut OwnedRequest, delivery: Delivery) -> PyResult<Run> {
        let environ = self.environs.build(py, &self.application, request)?;
        let (context, wire) = (Arc::clone(&self.application.context), std::mem::take(&mut self.spare));
        let response = ApplicationResponse::new(request.facts, context, wire, delivery);
        let start_response = Py::new(py, StartResponse::new(response))?;
        let state = RunState::Ready(self.application.callable.clone_ref(py), environ.unbind());
        Ok(Run { start_response, result: None, state, head: None })
    }
}

impl Run {
    /// Locks the response.
    pub(super) fn response(&self) -> MutexGuard<'_, ApplicationResponse> {
        self.start_response.get().response()
    }

    /// Goes on to the next piece, or to the end.
    pub(super) fn step(&mut self, py: Python<'_>) -> RunStep {
        let outer = current::enter(self.head.take());
        let step = self.advance(py);
        self.head = error_stream::leave(outer);
        step
    }

    fn advance(&mut self, py: Python<'_>) -> RunStep {
        loop {
            match std::mem::replace(&mut self.state, RunState::Finished) {
                RunState::Ready(application, environ) => {
                    let returned = application.bind(py).call1((environ, &self.start_response));
                    forked::end_child(py, returned.as_ref().err());
                    self.state = match returned {
                        Ok(result) => {
                            self.result = Some(result.unbind());
                            RunState::Returned
                        }
                        Err(error) => RunState::Failed(error),
                    };
                }
                RunState::Returned => match self.begin(py) {
                    Ok(Some(step)) => return step,
                    Ok(None) => {}
                    Err(error) => self.state = RunState::Failed(error),
                },
                RunState::Iterating(iterator) => {
                    let mut iterator = iterator.into_bound(py);
                    match self.take_next(py, &mut iterator) {
                        Ok(PushOutcome::More) => {
                            self.state = RunState::Iterating(iterator.unbind());
                            return RunStep::More;
                        }
                        Ok(PushOutcome::Enough) => {}
                        Ok(PushOutcome::NoHead) => self.state = RunState::Failed(no_head()),
                        Ok(PushOutcome::Gone) => {
                            self.close(py);
                            return RunStep::Gone;
                        }
                        Err(error) => self.state = RunState::Failed(error),
                    }
                }
                RunState::Failed(error) => {
                    self.report(py, &error);
                    // Releases the frames of the traceback before `close` is called.
                    drop(error);
                    self.close(py);
                    return RunStep::End(None, self.response().fail());
                }
                RunState::Finished => return self.end(py),
            }
        }
    }

    /// Logs an exception of the application. A client that has left is no error: `write` has told the application.
    fn report(&self, py: Python<'_>, error: &PyErr) {
        if error.is_instance_of::<PyBrokenPipeError>(py) && self.response().is_gone() {
            log::debug!("the client has left");
        } else {
            report(py, error);
        }
    }

    /// Looks at what the application returned. Returns the last step, if that is all there is to do.
    fn begin(&mut self, py: Python<'_>) -> PyResult<Option<RunStep>> {
        let Some(result) = self.result.as_ref().map(|result| result.bind(py).clone()) else {
            return Ok(None);
        };
        let only = if let Ok(list) = result.cast_exact::<PyList>() {
            (list.len() == 1).then(|| list.get_item(0)).transpose()?
        } else if let Ok(tuple) = result.cast_exact::<PyTuple>() {
            (tuple.len() == 1).then(|| tuple.get_item(0)).transpose()?
        } else {
            if let Ok(wrapper) = result.cast_exact::<WsgiFileWrapper>()
                && let Some(step) = self.send_file(py, wrapper.get())
            {
                return Ok(Some(step));
            }
            None
        };
        let Some(item) = only else {
            self.state = RunState::Iterating(result.try_iter()?.unbind());
            return Ok(None);
        };
        // The only piece: the length of the body is known (WSGI R3), and a list has no close().
        let piece = BodyPiece::of_application(&item)?;
        let outcome = self.response().push(piece, Some(piece.bytes.len() as u64));
        if outcome == PushOutcome::NoHead {
            return Err(no_head());
        }
        self.result = None;
        Ok(None)
    }

    fn send_file(&mut self, py: Python<'_>, wrapper: &WsgiFileWrapper) -> Option<RunStep> {
        let slice = wrapper.slice(py)?;
        let count = self.response().push_file(slice.len)?;
        let slice = slice.slice(slice.offset, count);
        // The slice has a descriptor of its own, which is open until the last byte has left.
        self.close(py);
        let completion = self.response().finish()?;
        Some(RunStep::End(Some(slice).filter(|slice| slice.len > 0), completion))
    }

    /// Takes the next piece.
    fn take_next(&self, py: Python<'_>, iterator: &mut Bound<'_, PyIterator>) -> PyResult<PushOutcome> {
        let next = iterator.next().transpose();
        forked::end_child(py, next.as_ref().err());
        match next? {
            Some(item) => Ok(self.start_response.get().push_and_wait(py, BodyPiece::of_application(&item)?)),
            None => Ok(PushOutcome::Enough),
        }
    }

    /// Ends a response whose pieces were all taken: `close()` first.
    fn end(&mut self, py: Python<'_>) -> RunStep {
        self.close(py);
        let completion = self.response().finish();
        RunStep::End(
            None,
            completion.unwrap_or_else(|| {
                report(py, &no_head());
                self.response().fail()
            }),
        )
    }

    /// Calls `close()` of what the application returned, if it has one: always, and once (WSGI R2).
    fn close(&mut self, py: Python<'_>) {
        self.state = RunState::Finished;
        let Some(result) = self.result.take() else {
            return;
        };
        let result = result.bind(py);
        if result.is_exact_instance_of::<PyList>() || result.is_exact_instance_of::<PyTuple>() {
            return;
        }
        let closed = match result.getattr_opt(intern!(py, "close")) {
            Ok(Some(close)) => close.call0().map(drop),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        forked::end_child(py, closed.as_ref().err());
        if let Err(error) = closed {
            report(py, &error);
        }
    }
}

/// A response that is dropped before its end: the client is gone.
impl Drop for Run {
    fn drop(&mut self) {
        if self.result.is_some() {
            Python::attach(|py| {
                let outer = current::enter(self.head.take());
                self.close(py);
                error_stream::leave(outer);
            });
        }
    }
}

fn no_head() -> PyErr {
    PyTypeError::new_err("the application has made a body without calling start_response")
}
