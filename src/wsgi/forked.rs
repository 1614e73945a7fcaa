//! Processes that the application forks. They are no workers: `stheno_wsgi/forks.py` takes from them what only the worker
//! may use, and one that comes back from the application ends here.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::interpreter;
use crate::app::setup::Setup;

/// Whether this process is one that the application has forked.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Watches the forks of this worker, which has handlers of `signals`, and the sockets of `setup`.
pub(super) fn watch(py: Python<'_>, signals: Vec<i32>, setup: &Setup) -> PyResult<()> {
    let sockets = setup.all_listeners().flat_map(|listeners| listeners.for_successor());
    let sockets: Vec<_> = sockets.map(|(socket, _)| socket.as_raw_fd()).collect();
    let note = PyCFunction::new_closure(py, None, None, |_, _| IS_CHILD.store(true, Ordering::Relaxed))?;
    py.import("stheno_wsgi.forks")?.call_method1("watch", (signals, sockets, note)).map(drop)
}

/// Call it when the application has returned, or raised `error`. A child of the worker ends as a Python program does: the
/// loop, the threads and the connections are not its own.
pub(super) fn end_child(py: Python<'_>, error: Option<&PyErr>) {
    if IS_CHILD.load(Ordering::Relaxed) {
        leave(py, error);
    }
}

#[cold]
fn leave(py: Python<'_>, error: Option<&PyErr>) -> ! {
    let code = match error {
        None => 0,
        Some(error) if error.is_instance_of::<PySystemExit>(py) => exit_code(error.value(py)),
        Some(error) => {
            error.display(py);
            1
        }
    };
    interpreter::exit(py, code)
}

/// The code of `SystemExit`: its number, 0 for `None`, and 1 for a message.
fn exit_code(exit: &Bound<'_, pyo3::exceptions::PyBaseException>) -> i32 {
    match exit.getattr("code") {
        Ok(code) if code.is_none() => 0,
        Ok(code) => code.extract().unwrap_or(1),
        Err(_) => 1,
    }
}
