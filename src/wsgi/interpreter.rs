//! What the server asks of the interpreter, beside the application.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::shared::WorkerContext;
use crate::master::Executable;
use crate::server::LogTarget;
use crate::sys::process::{Forked, Pid};

/// The program and the arguments that this process was started with.
pub(super) fn executable(py: Python<'_>) -> PyResult<Executable> {
    let sys = py.import("sys")?;
    let program: Option<OsString> = sys.getattr("executable")?.extract()?;
    let words: Vec<OsString> = sys.getattr("orig_argv")?.extract()?;
    let arguments = words.into_iter().skip(1).collect();
    Ok(Executable { program: program.unwrap_or_default().into(), arguments, folder: None })
}

/// fork(2) with the hooks of the interpreter, which put its locks, its random numbers and what applications have
/// registered in order on both sides. Call it while this process has one thread.
pub(super) fn fork() -> io::Result<Forked> {
    Python::attach(|py| {
        let id: i32 = py.import("os")?.call_method0("fork")?.extract()?;
        match id {
            0 => Ok(Forked::Child),
            id => Pid::of(id).map(Forked::Parent),
        }
    })
}

/// Prints the traceback of an application that cannot be loaded, or the one line that the exception has in its
/// attribute `line`.
pub(super) fn complain(py: Python<'_>, error: &PyErr) {
    let line = error.value(py).getattr("line").and_then(|line| line.extract::<String>());
    match line {
        Ok(line) => {
            let _ = LogTarget::standard_error().map(|stderr| stderr.print(&format!("stheno-wsgi: {line}\n")));
        }
        Err(_) => error.display(py),
    }
}

/// A function for Python: whether the worker drains.
pub(super) fn is_draining<'py>(
    py: Python<'py>,
    context: &Arc<WorkerContext>,
) -> PyResult<Bound<'py, PyCFunction>> {
    let context = Arc::clone(context);
    PyCFunction::new_closure(py, None, None, move |_, _| context.draining.load(Ordering::Relaxed))
}
