//! `start_response`, and the `write` that it returns (PEP 3333).

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyAssertionError, PyBrokenPipeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::answer::{Answer, PushOutcome};
use super::head::Head;
use super::pool::away_from_the_application;

/// What the application is given to begin its answer with. (the seed's `start_response`)
#[pyclass(frozen, module = "stheno_wsgi")]
#[derive(Debug)]
pub struct StartResponse {
    answer: Mutex<Answer>,
}

impl StartResponse {
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer: Mutex::new(answer) }
    }

    /// Nobody holds it while he waits for anything.
    pub(super) fn answer(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
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
        let answer = this.get();
        let (is_sent, was_called) = {
            let mut answer = answer.answer();
            (answer.is_sent(), answer.note_call())
        };
        match exc_info {
            Some(exc_info) if is_sent => return Err(raised(exc_info)?),
            Some(_) => {}
            None if was_called => {
                return Err(PyAssertionError::new_err(
                    "start_response has been called already: a second call needs exc_info (PEP 3333)",
                ));
            }
            None => {}
        }
        let head = Head::read(status, headers)?;
        answer.answer().set_head(head);
        Ok(Write { start_response: this.clone().unbind() })
    }
}

/// The exception that the application wants to answer, too late (WSGI S6).
fn raised(exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let py = exc_info.py();
    let exc_info = exc_info.cast::<PyTuple>()?;
    let (value, traceback) = (exc_info.get_item(1)?, exc_info.get_item(2)?);
    Ok(PyErr::from_value(value.call_method1(intern!(py, "with_traceback"), (traceback,))?))
}

/// Sends bytes before those of the iterable. New applications should not use it; old ones do.
#[pyclass(frozen, module = "stheno_wsgi")]
#[derive(Debug)]
pub struct Write {
    start_response: Py<StartResponse>,
}

#[pymethods]
impl Write {
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyBytes>) -> PyResult<()> {
        let start_response = self.start_response.get();
        let pushed = push_and_wait(py, start_response, data.as_bytes()).map(drop);
        pushed
            .and_then(|()| start_response.answer().send_now().map_err(|_| Disconnected))
            .map_err(|Disconnected| PyBrokenPipeError::new_err("the client has gone"))
    }
}

/// The client has gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disconnected;

/// Takes a piece and hands it over; waits, without the interpreter, where the client does not keep up.
pub(super) fn push_and_wait(
    py: Python<'_>,
    start_response: &StartResponse,
    data: &[u8],
) -> Result<PushOutcome, Disconnected> {
    let mut answer = start_response.answer();
    let taken = answer.push(data, None);
    answer.hand_over().map_err(|_| Disconnected)?;
    let full = answer.outbox().filter(|outbox| outbox.is_full());
    drop(answer);
    if let Some(outbox) = full {
        py.detach(|| away_from_the_application(|| outbox.wait_for_room())).map_err(|_| Disconnected)?;
    }
    Ok(taken)
}
