//! The WSGI server (PEP 3333): Python applications on the reactor. With the feature `wsgi` only.
//!
//! ```text
//! socket ──► reactor ──► http1::Connection ──► WsgiService::handle ──► PendingResponse
//!                          body ──► Spool                │
//!          --threads 0: InlineResponse, on the loop      │  PoolResponse ──► JobQueue ──► thread
//!                                     └──── Runner::start, Run::step ────────────────────────┘
//! socket ◄── reactor ◄── OutQueue ◄── ApplicationResponse (head, framing) ◄── start_response, iterable
//! ```
//!
//! The loop receives whole requests, and a pool of threads calls the application. Only the loop touches a socket, and it
//! runs no Python, except with `--threads 0`. The two modes differ only in what calls the application: environ, framing
//! and the order of calls are the same code.
//!
//! | file | content |
//! |---|---|
//! | `activity` | how long each thread has been in the application |
//! | `batched_waker` | wakes the loop for output of the threads |
//! | `config` | the options, checked |
//! | `cut_off` | requests that the end of `--grace` cuts off |
//! | `environ` | the environ |
//! | `file_wrapper` | `wsgi.file_wrapper` |
//! | `head` | the arguments of `start_response`, checked |
//! | `hooks` | functions of the operator that run when processes begin and end |
//! | `inline` | the application on the loop |
//! | `job_queue` | requests, from the loop to the threads |
//! | `kept_signals` | which signals the server keeps, and how the application's own handlers run |
//! | `lent_socket` | `write` on the loop |
//! | `local_server` | a worker in a thread of any Python process |
//! | `names` | names of header fields, and their keys in the environ |
//! | `outbox` | output, from a thread to the loop |
//! | `pool` | the application in a pool of threads |
//! | `request` | a request in memory of its own |
//! | `response` | from head and pieces to framed bytes |
//! | `run` | one call of the application, and the steps through what it returns |
//! | `server` | the master and its workers |
//! | `service` | takes a request to the application, or to files |
//! | `shared` | what the threads of a worker share, and the trusted proxies |
//! | `spool` | the body of a request |
//! | `start_response` | `start_response` and `write` |

mod activity;
mod batched_waker;
mod config;
mod cut_off;
mod environ;
mod file_wrapper;
mod head;
mod hooks;
mod inline;
mod job_queue;
mod kept_signals;
mod lent_socket;
mod local_server;
mod names;
mod outbox;
mod pool;
mod request;
mod response;
mod run;
mod server;
mod service;
mod shared;
mod spool;
mod start_response;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use config::WsgiOptions;

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
    module.add_class::<local_server::LocalServer>()?;
    module.add_class::<file_wrapper::WsgiFileWrapper>()?;
    module.add_function(wrap_pyfunction!(serve, module)?)
}
