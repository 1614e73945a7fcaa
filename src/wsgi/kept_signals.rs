//! The signals of a worker: which the server keeps, and how the application's own handlers run.
//!
//! Python's handler of a signal, in C, only notes it; the handler in Python runs when the main thread executes Python
//! the next time. The main thread is the loop, which may never do that. So Python also writes to the pipe that wakes the
//! loop (`signal.set_wakeup_fd`), and the loop then runs the handlers.

use std::cell::RefCell;
use std::io;
use std::os::fd::{IntoRawFd, RawFd};

use log::{error, warn};
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

use super::error_log::failure;
use crate::sys::signal::{Blocked, Signal, Signals};

/// The signals that end a worker.
const ENDING: [Signal; 3] = [Signal::Terminate, Signal::Interrupt, Signal::Quit];

/// What to use instead of a handler.
const INSTEAD: &str = "atexit, or worker_exit of --hooks, is for what has to run at the end of a worker";

/// The signals of a worker, in its main thread.
#[derive(Debug)]
pub(super) struct KeptSignals {
    kept: Vec<Signal>,
    /// Those that the application has taken, and that were worth a line.
    reported: RefCell<Vec<Signal>>,
    /// The pipe that wakes the loop. It is open until the process ends: Python has its number, and cannot be told at an
    /// end for which a thread that hangs holds the interpreter.
    waker: RawFd,
    /// Whether the application runs in the main thread, where it may change what Python does for signals at any time.
    is_inline: bool,
}

impl KeptSignals {
    /// Call it before the application is imported. With `saves`, SIGUSR1 is the server's as well.
    pub(super) fn new(py: Python<'_>, signals: &Signals, saves: bool, is_inline: bool) -> PyResult<Self> {
        let kept = ENDING.into_iter().chain(saves.then_some(Signal::User1)).collect();
        let waker = signals.waker().try_clone_to_owned()?.into_raw_fd();
        let this = Self { kept, reported: RefCell::default(), waker, is_inline };
        // `asyncio.run` takes SIGINT where Python's own handler of it is the current one.
        let _blocked = Blocked::all();
        let default = py.import("signal")?.getattr("SIG_DFL")?;
        set_handler(py, Signal::Interrupt, &default)?;
        Signals::reinstall(&[Signal::Interrupt])?;
        Ok(this)
    }

    /// Call it when the application has been imported, before the loop begins.
    pub(super) fn imported(&self, py: Python<'_>) -> PyResult<()> {
        self.take_back()?;
        let before = self.set_waker(py)?;
        if before.is_some_and(|other| other != self.waker) {
            warn!("the application has called signal.set_wakeup_fd, and the server takes its place");
        }
        Ok(())
    }

    /// The numbers of the signals.
    pub(super) fn numbers(&self) -> Vec<i32> {
        self.kept.iter().map(|signal| signal.number()).collect()
    }

    /// Installs the server's handlers again where the application has its own. The first time is worth a line.
    fn take_back(&self) -> io::Result<()> {
        let mut reported = self.reported.borrow_mut();
        let lost = Signals::reinstall(&self.kept)?;
        let new: Vec<_> = lost.into_iter().filter(|signal| !reported.contains(signal)).collect();
        if !new.is_empty() {
            warn!("the application has a handler of {}, which the server keeps: {INSTEAD}", names(&new));
            reported.extend(new);
        }
        Ok(())
    }

    /// Has Python wake the loop for each signal that it handles. Returns the descriptor before, if there was one.
    fn set_waker(&self, py: Python<'_>) -> PyResult<Option<RawFd>> {
        let quietly = [("warn_on_full_buffer", false)].into_py_dict(py)?;
        let before =
            py.import("signal")?.call_method("set_wakeup_fd", (self.waker,), Some(&quietly))?.extract()?;
        Ok(Some(before).filter(|before| *before >= 0))
    }

    /// Runs the handlers of signals that Python has noted. What they raise has no caller: it is logged, and the worker
    /// goes on, also after `SystemExit`.
    pub(super) fn run_handlers(&self) {
        // Each call ends with the first exception; a signal that comes later wakes the loop again.
        for _ in Signal::ALL {
            let failed = Python::attach(|py| {
                let checked = py.check_signals();
                checked.inspect_err(|error| {
                    error!("a signal handler of the application has failed");
                    failure(py, error);
                })
            });
            if failed.is_ok() {
                return;
            }
        }
    }

    /// Call it once a second: code in the main thread may have changed something.
    pub(super) fn tend(&self) {
        if let Err(error) = self.take_back() {
            error!("signals cannot be taken back: {error}");
        }
        if self.is_inline {
            let _ = Python::attach(|py| self.set_waker(py));
        }
    }
}

/// Has Python wake nothing from now on: the loop has ended.
pub(super) fn release(py: Python<'_>) {
    let _ = py.import("signal").and_then(|signal| signal.call_method1("set_wakeup_fd", (-1,)));
}

/// The handlers of all signals of the server, as Python knows them.
pub(super) fn handlers(py: Python<'_>) -> PyResult<Vec<(Signal, Py<PyAny>)>> {
    let module = py.import("signal")?;
    let get = |signal: Signal| Ok((signal, module.call_method1("getsignal", (signal.number(),))?.unbind()));
    Signal::ALL.into_iter().map(get).collect()
}

/// Reports the signals that the application has taken in the master (`--preload`), since [`handlers`] returned `before`.
pub(super) fn report_taken(py: Python<'_>, before: &[(Signal, Py<PyAny>)]) -> PyResult<()> {
    let now = handlers(py)?;
    let taken = before.iter().zip(&now).filter(|(before, now)| !before.1.is(&now.1));
    let taken: Vec<_> = taken.map(|(before, _)| before.0).collect();
    if !taken.is_empty() {
        warn!("the application has a handler of {}, which the master keeps: {INSTEAD}", names(&taken));
    }
    Ok(())
}

fn set_handler(py: Python<'_>, signal: Signal, handler: &Bound<'_, PyAny>) -> PyResult<()> {
    py.import("signal")?.call_method1("signal", (signal.number(), handler)).map(drop)
}

fn names(signals: &[Signal]) -> String {
    signals.iter().map(|signal| signal.name()).collect::<Vec<_>>().join(", ")
}
