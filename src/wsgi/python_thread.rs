//! Threads that Python's `threading` makes, so that its tools know them: `threading.enumerate`, `settrace` and
//! `setprofile` (debuggers, coverage), names in py-spy.

use std::io;
use std::thread::Builder;

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyCFunction, PyDict, PyTuple};

use crate::sys::process;

/// The size of a stack: what the system gives to a main thread.
const STACK: usize = 8 * 1024 * 1024;

/// Starts a daemon thread that runs `body`, attached to the interpreter.
///
/// # Errors
/// What `Thread.start` raises, if the system has no more threads.
pub(super) fn start<F>(py: Python<'_>, name: &str, body: F) -> PyResult<()>
where
    F: Fn(Python<'_>) + Send + Sync + 'static,
{
    // Under such a library, Python's threads would be coroutines that run on the loop's thread and block it.
    let is_patched = !py.import("stheno_wsgi.loading")?.call_method0("patched_by")?.is_none();
    if is_patched {
        return Ok(start_unknown(name, body)?);
    }
    let threading = py.import("threading")?;
    let title = name.to_string();
    let target = move |args: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
        // Python names its threads for the system from 3.14 on.
        process::set_title(&title);
        body(args.py());
    };
    let target = PyCFunction::new_closure(py, Some(c"work"), None, target)?;
    let options =
        [("name", name.into_pyobject(py)?.into_any()), ("target", target.into_any())].into_py_dict(py)?;
    options.set_item("daemon", true)?;
    let thread = threading.getattr("Thread")?.call((), Some(&options))?;
    let before = threading.call_method1("stack_size", (STACK,))?;
    // A new context: the thread must not have the context variables of the request that waits for it.
    let context = py.import("contextvars")?.getattr("Context")?.call0()?;
    let started = context.call_method1("run", (thread.getattr("start")?,));
    threading.call_method1("stack_size", (before,))?;
    started.map(drop)
}

/// Starts a thread that `threading` does not know.
fn start_unknown<F: Fn(Python<'_>) + Send + 'static>(name: &str, body: F) -> io::Result<()> {
    Builder::new().name(name.into()).stack_size(STACK).spawn(move || Python::attach(body)).map(drop)
}

/// Python's identifier of this thread.
pub(super) fn identifier(py: Python<'_>) -> u64 {
    py.import("threading").and_then(|threading| threading.call_method0("get_ident")?.extract()).unwrap_or(0)
}
