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
//! | `arguments` | the arguments of `serve()` as settings |
//! | `batched_waker` | wakes the loop for output of the threads |
//! | `command` | the command line |
//! | `config` | the options, checked |
//! | `cut_off` | requests that the end of `--grace` cuts off |
//! | `content` | what the workers of one configuration serve |
//! | `current` | the request that a thread works on, for the log |
//! | `environ` | the environ |
//! | `error_log` | the lines of the log, and tracebacks |
//! | `error_stream` | `wsgi.errors` |
//! | `file_wrapper` | `wsgi.file_wrapper` |
//! | `forked` | processes that the application forks |
//! | `hang_watch` | finds threads that hang |
//! | `head` | the arguments of `start_response`, checked |
//! | `hooks` | functions of the operator that run when processes begin and end |
//! | `inline` | the application on the loop |
//! | `interpreter` | what the server asks of the interpreter, beside the application |
//! | `job_queue` | requests, from the loop to the threads |
//! | `kept_signals` | which signals the server keeps, and how the application's own handlers run |
//! | `lent_output` | `write` on the loop |
//! | `load_token` | the first worker that cannot load the application reports it for all |
//! | `local_server` | a worker in a thread of any Python process |
//! | `names` | names of header fields, and their keys in the environ |
//! | `options` | the table of options, and the places that they come from |
//! | `outbox` | output, from a thread to the loop |
//! | `piece` | a piece of a body, which is not copied if it is large |
//! | `pool` | the application in a pool of threads |
//! | `proxies` | what trusted proxies say of a request |
//! | `python_log` | Python's `logging`, joined |
//! | `python_thread` | threads that Python's tools know |
//! | `request` | a request in memory of its own |
//! | `response` | from head and pieces to framed bytes |
//! | `run` | one call of the application, and the steps through what it returns |
//! | `sent_pieces` | large pieces that have left, until they are released |
//! | `server` | the master and its workers |
//! | `service` | takes a request to the application, or to files |
//! | `shared` | what the threads of a worker share |
//! | `spool` | the body of a request |
//! | `stacks` | where threads are, for the log |
//! | `start_response` | `start_response` and `write` |
//! | `thread_counts` | how many threads of a pool do what |
//! | `wire` | framed bytes, with large pieces among them |

mod activity;
mod arguments;
mod batched_waker;
mod command;
mod config;
mod content;
mod current;
mod cut_off;
mod environ;
mod error_log;
mod error_stream;
mod file_wrapper;
mod forked;
mod hang_watch;
mod head;
mod hooks;
mod inline;
mod interpreter;
mod job_queue;
mod kept_signals;
mod lent_output;
mod load_token;
mod local_server;
mod names;
mod options;
mod outbox;
mod piece;
mod pool;
mod proxies;
mod python_log;
mod python_thread;
mod request;
mod response;
mod run;
mod sent_pieces;
mod server;
mod service;
mod shared;
mod spool;
mod stacks;
mod start_response;
mod thread_counts;
mod wire;

use std::ffi::OsString;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use options::GivenOptions;
use server::Callbacks;

/// Runs the command line. Returns the exit code.
///
/// `load(app, factory, reload)` returns the application that `app` names. `ready(number, reload, is_draining)` runs in each
/// worker after the application was loaded. `hooks(name)` returns the hooks of this name, or `None`.
#[pyfunction]
fn main(py: Python<'_>, words: Vec<OsString>, load: Py<PyAny>, ready: Py<PyAny>, hooks: Py<PyAny>) -> i32 {
    command::run(py, words, Callbacks { load, ready, hooks, name: None })
}

/// Serves the application that `load` returns until the server is told to stop. Returns the exit code. `options` are the
/// options with underscores.
#[pyfunction]
fn serve(
    py: Python<'_>,
    load: Py<PyAny>,
    ready: Py<PyAny>,
    hooks: Py<PyAny>,
    name: String,
    options: &Bound<'_, PyDict>,
) -> PyResult<i32> {
    let given = GivenOptions::from_arguments(arguments::settings(options)?);
    let callbacks = Callbacks { load, ready, hooks, name: Some(name) };
    py.detach(|| server::serve(given, callbacks)).map_err(arguments::exception)
}

/// Method, path, id and client of the request that this thread works on; `None` if it works on none.
#[pyfunction]
fn current_request() -> Option<(String, String, String, Option<String>)> {
    current::request().map(|request| request.label().into_tuple())
}

/// The extension module. Nothing in it relies on the interpreter lock: threads share only what is `Sync`, so a
/// free-threaded interpreter stays without the lock.
#[pymodule(gil_used = false)]
fn _stheno(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<local_server::LocalServer>()?;
    module.add_class::<file_wrapper::WsgiFileWrapper>()?;
    module.add_function(wrap_pyfunction!(current_request, module)?)?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add_function(wrap_pyfunction!(serve, module)?)
}
