//! `start_response`, and the `write` that it returns (PEP 3333).

use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::{PyAssertionError, PyBrokenPipeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::activity;
use super::head::ApplicationHead;
use super::piece::BodyPiece;
use super::response::{ApplicationResponse, PushOutcome};
use super::shared::lock;

/// The callable that begins a response. (the seed's `start_response`)
#[pyclass(frozen, module = "stheno_wsgi")]
#[derive(Debug)]
pub struct StartResponse {
    response: Mutex<ApplicationResponse>,
}

impl StartResponse {
    pub(super) fn new(response: ApplicationResponse) -> Self {
        Self { response: Mutex::new(response) }
    }

    /// Locks the response. No thread that has the lock waits for a client, except the loop in `write`.
    pub(super) fn response(&self) -> MutexGuard<'_, ApplicationResponse> {
        lock(&self.response)
    }

    /// Takes a piece and hands it over. While the client does not keep up, waits without the interpreter.
    pub(super) fn push_and_wait(&self, py: Python<'_>, piece: BodyPiece<'_>) -> PushOutcome {
        let mut response = self.response();
        let outcome = response.push(piece, None);
        let handed_over = response.hand_over();
        let full = response.full_outbox();
        drop(response);
        activity::note_progress();
        let waited = full.map_or(Ok(()), |outbox| activity::wait_for_room(py, &outbox));
        if handed_over.and(waited).is_err() { PushOutcome::Gone } else { outcome }
    }
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, headers, exc_info = None))]
    fn __call__<'py>(
        this: &Bound<'py, Self>,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Write> {
        let (is_sent, was_called) = {
            let mut response = this.get().response();
            (response.is_sent(), response.note_call())
        };
        match exc_info {
            Some(exc_info) if is_sent => return Err(raised(exc_info)?),
            None if was_called => {
                return Err(PyAssertionError::new_err(
                    "start_response has been called already: a second call needs exc_info (PEP 3333)",
                ));
            }
            _ => {}
        }
        let head = ApplicationHead::read(status, headers)?;
        this.get().response().set_head(head);
        Ok(Write { start_response: this.clone().unbind() })
    }
}

/// The exception that comes too late to replace the response (WSGI S6).
fn raised(exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let py = exc_info.py();
    let exc_info = exc_info.cast::<PyTuple>()?;
    let (value, traceback) = (exc_info.get_item(1)?, exc_info.get_item(2)?);
    Ok(PyErr::from_value(value.call_method1(intern!(py, "with_traceback"), (traceback,))?))
}

/// The callable that sends bytes before those of the iterable. PEP 3333 keeps it for old applications.
#[pyclass(frozen, module = "stheno_wsgi")]
#[derive(Debug)]
pub struct Write {
    start_response: Py<StartResponse>,
}

#[pymethods]
impl Write {
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyBytes>) -> PyResult<()> {
        let start_response = self.start_response.get();
        let outcome = start_response.push_and_wait(py, BodyPiece::of_bytes(data));
        if outcome == PushOutcome::Gone || start_response.response().send_now().is_err() {
            start_response.response().note_gone();
            return Err(PyBrokenPipeError::new_err("the client is gone"));
        }
        Ok(())
    }
}
