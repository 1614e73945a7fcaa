//! Python's `logging`, joined: the loggers `stheno_wsgi.error` and `stheno_wsgi.access`.
//!
//! ```text
//! exception of the application ──► stheno_wsgi.error, on the thread that has it
//! lines of the server, access log ──► pipe ──► thread of Python ──► stheno_wsgi.error, stheno_wsgi.access
//! ```
//!
//! The loop must not wait for the interpreter, nor for a handler. The pipe takes 1 MiB without waiting (64 KiB outside
//! Linux); of what it does not take the lines are counted, as in any other log. The Python side is `stheno_wsgi/logs.py`.

use std::fmt::Write as _;
use std::io;
use std::os::fd::IntoRawFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use log::Level;
use pyo3::prelude::*;

use super::current;
use crate::json;
use crate::server::{AccessLog, LogFormat, LogTarget};
use crate::sys::descriptor;

/// The most bytes of a message in the pipe.
const MAX_MESSAGE: usize = 2048;

/// The size of the pipe: what Linux allows to every user (pipe(7), `pipe-max-size`).
#[cfg(target_os = "linux")]
const ROOM: usize = 1024 * 1024;

/// What the Python side has joined; unset without it.
static JOINED: OnceLock<JoinedLoggers> = OnceLock::new();

#[derive(Debug)]
struct JoinedLoggers {
    module: Py<PyAny>,
    pipe: LogTarget,
    errors: bool,
    access: bool,
}

/// Loads `--log-config`, before the application is imported.
///
/// # Errors
/// What is wrong with it, with the attribute `line`.
pub(super) fn configure(py: Python<'_>, config: Option<&Path>) -> PyResult<()> {
    config.map_or(Ok(()), |config| {
        py.import("stheno_wsgi.logs")?.call_method1("configure", (config,)).map(drop)
    })
}

/// Joins the loggers that have handlers, after the application was imported, in a worker.
///
/// # Errors
/// What Python raises, or no descriptor is left.
pub(super) fn join(py: Python<'_>) -> PyResult<()> {
    // Without an import of `logging` nothing can have been set up.
    let modules = py.import("sys")?.getattr("modules")?;
    if !modules.contains("logging")? {
        return Ok(());
    }
    let module = py.import("stheno_wsgi.logs")?;
    let (errors, access): (bool, bool) = module.call_method0("joined")?.extract()?;
    if errors || access {
        let (take, give) = descriptor::pipe()?;
        // More room for a moment in which the interpreter is busy; the kernel may refuse it.
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&give, ROOM);
        module.call_method1("start", (take.into_raw_fd(),))?;
        let joined = JoinedLoggers { module: module.into_any().unbind(), pipe: give.into(), errors, access };
        // A worker joins once.
        let _ = JOINED.set(joined);
    }
    Ok(())
}

/// Delivers what is in the pipe, at the end of a worker.
pub(super) fn finish(py: Python<'_>) {
    if let Some(joined) = JOINED.get() {
        joined.pipe.print("end\n");
        if let Err(error) = joined.module.bind(py).call_method0("finish") {
            error.display(py);
        }
    }
}

/// The access log whose lines go to `stheno_wsgi.access`, if that is joined.
pub(super) fn access_log(format: Option<&LogFormat>) -> io::Result<Option<AccessLog>> {
    let Some(joined) = JOINED.get().filter(|joined| joined.access) else {
        return Ok(None);
    };
    let format = format.map_or_else(LogFormat::combined, LogFormat::clone).with_json();
    let format = format.map_err(|wrong| io::Error::other(format!("--access-log-format: {wrong}")))?;
    Ok(Some(AccessLog::with_format(joined.pipe.clone(), Some(Arc::new(format)))))
}

/// Takes a line of the server. Returns whether it is not for the log: an error is for both, because the worker may be
/// about to end.
pub(super) fn take(level: Level, message: &str) -> bool {
    let Some(joined) = JOINED.get().filter(|joined| joined.errors) else {
        return false;
    };
    let number = match level {
        Level::Error => 40,
        Level::Warn => 30,
        Level::Info => 20,
        Level::Debug | Level::Trace => 10,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut line = format!("{{\"level\":{number},\"created\":{:.6}", now.as_secs_f64());
    let message = &message[..current::boundary(message, MAX_MESSAGE)];
    let mut push = |name: &str, text: &str| _ = write!(line, ",\"{name}\":{}", json::string(text));
    push("message", message);
    push("threadName", &current::thread_name());
    if let Some(request) = current::request() {
        let label = request.label();
        push("method", &label.method);
        push("path", &label.path);
        push("request_id", &label.id);
        if let Some(client) = &label.client {
            push("remote_addr", client);
        }
    }
    joined.pipe.print(&(line + "}\n"));
    level != Level::Error
}

/// Gives an exception of the application to `stheno_wsgi.error`. Returns whether that took it.
pub(super) fn failure(py: Python<'_>, error: &PyErr, summary: &str) -> bool {
    let Some(joined) = JOINED.get().filter(|joined| joined.errors) else {
        return false;
    };
    let request = current::request().map(|request| request.label().into_tuple());
    let exception = (error.value(py), error.traceback(py), summary, request);
    let logged = joined.module.bind(py).call_method1("failure", exception);
    logged.inspect_err(|odd| odd.display(py)).is_ok()
}
