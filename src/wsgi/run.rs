//! Calling the application for one request, and going through what it returns.
//!
//! ```text
//! Runner::start ──► call ──► Run ──step()*──► Step::End
//!                             └── dropped at any moment: close() is called, once
//! ```

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList, PyTuple};

use super::answer::{Answer, PushOutcome, Way};
use super::environ::{Application, Environs};
use super::file_wrapper::FileWrapper;
use super::request::Request;
use super::start_response::{Disconnected, StartResponse, push_and_wait};
use crate::chat::FileSlice;
use crate::http1::Completion;

/// Calls the application, on one thread.
#[derive(Debug)]
pub(super) struct Runner {
    application: Arc<Application>,
    environs: Environs,
    /// Empty memory, for the next answer.
    pub(super) spare: Vec<u8>,
}

/// How far an answer is.
#[derive(Debug)]
pub(super) enum Step {
    /// A piece has been made; there may be more.
    More,
    /// It is over, all of it stands in the wire, and a file may follow.
    End(Option<FileSlice>, Completion),
    /// It is over, and nobody cares.
    Gone,
}

/// One call of the application.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) start_response: Py<StartResponse>,
    /// What the application has returned, until it has been closed.
    result: Option<Py<PyAny>>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The application has returned, and nothing has been made of it.
    Returned,
    Iterating(Py<PyIterator>),
    /// It has failed.
    Failed(PyErr),
    /// All pieces are through.
    Through,
}

impl Runner {
    pub(super) fn new(py: Python<'_>, application: Arc<Application>) -> Self {
        Self { application, environs: Environs::new(py), spare: Vec::new() }
    }

    /// Calls the application. What it raises is found at the first step.
    ///
    /// # Errors
    /// When there is no memory to call it.
    pub(super) fn start(&mut self, py: Python<'_>, request: &mut Request, way: Way) -> PyResult<Run> {
        let environ = self.environs.make(py, &self.application, request)?;
        let wire = std::mem::take(&mut self.spare);
        let answer = Answer::new(request.facts, Arc::clone(&self.application.common), wire, way);
        let start_response = Bound::new(py, StartResponse::new(answer))?;
        let (result, state) = match self.application.callable.bind(py).call1((environ, &start_response)) {
            Ok(result) => (Some(result.unbind()), State::Returned),
            Err(error) => (None, State::Failed(error)),
        };
        Ok(Run { start_response: start_response.unbind(), result, state })
    }
}

impl Run {
    /// Goes on to the next piece.
    pub(super) fn step(&mut self, py: Python<'_>) -> Step {
        loop {
            match std::mem::replace(&mut self.state, State::Through) {
                State::Returned => match self.begin(py) {
                    Ok(Some(step)) => return step,
                    Ok(None) => {}
                    Err(error) => self.state = State::Failed(error),
                },
                State::Iterating(iterator) => match self.next(py, iterator.bind(py)) {
                    Ok(Next::Piece) => {
                        self.state = State::Iterating(iterator);
                        return Step::More;
                    }
                    Ok(Next::Last) => {}
                    Ok(Next::Gone) => {
                        self.close(py);
                        return Step::Gone;
                    }
                    Err(error) => self.state = State::Failed(error),
                },
                State::Failed(error) => {
                    report(py, &error);
                    drop(error);
                    self.close(py);
                    return Step::End(None, self.start_response.get().answer().fail());
                }
                State::Through => return self.end(py),
            }
        }
    }

    /// Looks at what the application has returned.
    fn begin(&mut self, py: Python<'_>) -> PyResult<Option<Step>> {
        let Some(result) = self.result.as_ref().map(|result| result.bind(py).clone()) else {
            return Ok(None);
        };
        let only = if let Ok(list) = result.cast_exact::<PyList>() {
            (list.len() == 1).then(|| list.get_item(0)).transpose()?
        } else if let Ok(tuple) = result.cast_exact::<PyTuple>() {
            (tuple.len() == 1).then(|| tuple.get_item(0)).transpose()?
        } else {
            if let Ok(wrapper) = result.cast_exact::<FileWrapper>()
                && let Some(step) = self.send_file(py, wrapper.get())
            {
                return Ok(Some(step));
            }
            None
        };
        match only {
            // All that there is: its length is known (WSGI R3), and a list has nothing to close.
            Some(item) => {
                let data = piece(&item)?;
                let start_response = self.start_response.get();
                let mut answer = start_response.answer();
                if answer.push(data, Some(data.len() as u64)) == PushOutcome::NoHead {
                    return Err(no_head());
                }
                drop(answer);
                self.result = None;
                Ok(None)
            }
            None => {
                let iterator = result.try_iter()?;
                self.state = State::Iterating(iterator.unbind());
                Ok(None)
            }
        }
    }

    fn send_file(&mut self, py: Python<'_>, wrapper: &FileWrapper) -> Option<Step> {
        let slice = wrapper.slice(py)?;
        let count = self.start_response.get().answer().push_file(slice.len)?;
        let slice = slice.slice(slice.offset, count);
        // The copy of the descriptor lives until the last byte has left.
        self.close(py);
        let ending = self.start_response.get().answer().finish();
        ending.map(|ending| Step::End(Some(slice).filter(|slice| slice.len > 0), ending))
    }

    fn next(&self, py: Python<'_>, iterator: &Bound<'_, PyIterator>) -> PyResult<Next> {
        // A copy of the reference: the iterator moves on, the place of it does not.
        let mut iterator = iterator.clone();
        let Some(item) = iterator.next().transpose()? else {
            return Ok(Next::Last);
        };
        let data = piece(&item)?;
        match push_and_wait(py, self.start_response.get(), data) {
            Ok(PushOutcome::More) => Ok(Next::Piece),
            Ok(PushOutcome::Enough) => Ok(Next::Last),
            Ok(PushOutcome::NoHead) => Err(no_head()),
            Err(Disconnected) => Ok(Next::Gone),
        }
    }

    /// All pieces are through: `close()`, then the end.
    fn end(&mut self, py: Python<'_>) -> Step {
        self.close(py);
        let ending = self.start_response.get().answer().finish();
        match ending {
            Some(ending) => Step::End(None, ending),
            None => {
                report(py, &no_head());
                Step::End(None, self.start_response.get().answer().fail())
            }
        }
    }

    /// Calls `close()` of what the application has returned, if it has one: always, and once (WSGI R2).
    fn close(&mut self, py: Python<'_>) {
        self.state = State::Through;
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
        if let Err(error) = closed {
            report(py, &error);
        }
    }
}

/// Nobody waits for the answer any more.
impl Drop for Run {
    fn drop(&mut self) {
        if self.result.is_some() {
            Python::attach(|py| self.close(py));
        }
    }
}

enum Next {
    Piece,
    Last,
    Gone,
}

/// The bytes of one item.
fn piece<'a>(item: &'a Bound<'_, PyAny>) -> PyResult<&'a [u8]> {
    match item.cast::<PyBytes>() {
        Ok(data) => Ok(data.as_bytes()),
        Err(_) => {
            let kind = item.get_type().name()?;
            Err(PyTypeError::new_err(format!("the application has made {kind}, not bytes")))
        }
    }
}

fn no_head() -> PyErr {
    PyTypeError::new_err("the application has made a body without calling start_response")
}

/// Writes the traceback to `sys.stderr`, and leaves nothing of it behind.
pub(super) fn report(py: Python<'_>, error: &PyErr) {
    log::error!("the application has failed");
    error.display(py);
}
