//! What the server asks of the interpreter, beside the application.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::error;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::hooks::{ProcessHook, ProcessHooks};
use super::shared::WorkerContext;
use super::{kept_signals, python_log};
use crate::master::Executable;
use crate::server::LogTarget;
use crate::sys::process::{self, Forked, Pid};

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

/// Whether the worker has the interpreter for its end.
static HAS_INTERPRETER: AtomicBool = AtomicBool::new(false);

/// Aborts this worker after `grace`, if a thread that hangs holds the interpreter: then only faulthandler can say where it is.
/// The master would kill the worker a little later.
pub(super) fn abort_without_interpreter(grace: Duration) {
    let _ = std::thread::Builder::new().spawn(move || {
        std::thread::sleep(grace);
        if !HAS_INTERPRETER.load(Ordering::Relaxed) {
            error!("a thread in the application holds the interpreter: this worker aborts");
            process::abort();
        }
    });
}

/// Ends a worker: what the application has registered for the end runs, and nothing else. Threads that are still in the
/// application are not waited for.
pub(super) fn leave(code: i32, hooks: Option<&ProcessHooks>) -> ! {
    Python::attach(|py| {
        HAS_INTERPRETER.store(true, Ordering::Relaxed);
        kept_signals::release(py);
        hooks.into_iter().for_each(|hooks| hooks.run(py, ProcessHook::WorkerExit));
        // Handlers are closed by `atexit`.
        python_log::finish(py);
        let ended = py.import("atexit").and_then(|atexit| atexit.call_method0("_run_exitfuncs"));
        if let Err(error) = ended {
            error.display(py);
        }
        exit(py, code)
    })
}

/// Ends this process at once; only what was printed is written.
pub(super) fn exit(py: Python<'_>, code: i32) -> ! {
    for stream in ["stdout", "stderr"] {
        let _ = py.import("sys").and_then(|sys| sys.getattr(stream)?.call_method0("flush"));
    }
    let left = py.import("os").and_then(|os| os.call_method1("_exit", (code,)).map(drop));
    if let Err(error) = left {
        error!("the interpreter does not exit: {error}");
    }
    std::process::exit(code)
}
