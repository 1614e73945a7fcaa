//! The WSGI server (PEP 3333): Python applications on the reactor. With the feature `wsgi` only.
//!
//! ```text
//! socket ──► reactor ──► http1::Connection ──► WsgiService::begin ──► Later
//!                          body ──► Spool            │
//!              --threads 0: InlineAnswer, on the loop│PoolAnswer: queue ──► thread
//!                                     └──── Runner::start, Run::step ────────┘
//! socket ◄── reactor ◄── OutQueue ◄── Answer (head, framing) ◄── start_response, iterable
//! ```
//!
//! The reactor never runs Python, unless it is asked to with `--threads 0`: it takes in whole requests, and a pool of
//! threads calls the application. Only the reactor touches a socket. Who calls the application is all that differs
//! between the two: environ, framing and the order of calls are the same code.
//!
//! | file | what stands there |
//! |---|---|
//! | `answer` | from `start_response` and pieces to framed bytes |
//! | `bell` | how the loop is told that there is something |
//! | `config` | what the Python side asks for, checked |
//! | `direct` | `write` on the loop |
//! | `environ` | the environ |
//! | `file_wrapper` | `wsgi.file_wrapper` |
//! | `head` | what `start_response` is given, checked |
//! | `inline` | the application on the loop |
//! | `names` | from field names to keys of the environ |
//! | `outbox` | from an application's thread to the loop |
//! | `pool` | the threads |
//! | `request` | a request, in memory of its own |
//! | `run` | calling the application, and going through what it returns |
//! | `server` | the master and its workers |
//! | `service` | who answers: the application, or files |
//! | `shared` | what all threads know, and whom forwarding fields are believed from |
//! | `spool` | the body of a request |
//! | `start_response` | `start_response` and `write` |

mod answer;
mod bell;
mod config;
mod direct;
mod environ;
mod file_wrapper;
mod head;
mod inline;
mod names;
mod outbox;
mod pool;
mod request;
mod run;
mod server;
mod service;
mod shared;
mod spool;
mod start_response;

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::http1::Status;
use config::WsgiOptions;
use request::Request;

/// Memory of so many requests is kept for the next ones.
const SPARE_REQUESTS: usize = 64;

/// What the loop uses alone, in something that could be sent to another thread: the lock is always free.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the next bytes of a body; a disk that is full is the server's fault.
fn spool_piece(request: &mut Request, bytes: &[u8]) -> Result<(), Status> {
    request.body.push(bytes).map_err(|error| {
        log::error!("a body cannot be kept in the folder for temporary files: {error}");
        Status::SERVICE_UNAVAILABLE
    })
}

/// Serves until it is told to stop. Returns the exit code.
#[pyfunction]
fn serve(py: Python<'_>, options: WsgiOptions) -> PyResult<i32> {
    let config = options.check().map_err(PyValueError::new_err)?;
    py.detach(|| server::serve(config)).map_err(|error| PyOSError::new_err(error.into_line()))
}

/// The extension module.
#[pymodule]
fn _stheno(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<file_wrapper::FileWrapper>()?;
    module.add_function(wrap_pyfunction!(serve, module)?)
}
