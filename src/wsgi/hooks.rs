//! The hooks of `--hooks`: functions of the operator that run when processes begin and end. `stheno_wsgi/hooks.py` calls
//! them.

use log::error;
use pyo3::prelude::*;

use super::error_log::failure;
use crate::sys::process::{Exit, Pid};

/// The hooks, if there are any.
#[derive(Debug, Default, FromPyObject)]
#[pyo3(transparent)]
pub(super) struct ProcessHooks(Option<Py<PyAny>>);

/// A moment at which a hook runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum ProcessHook {
    /// In the master: the first workers serve.
    WhenReady,
    /// In a worker with this number, before it loads the application.
    PostFork(usize),
    /// In a worker, at its end.
    WorkerExit,
    /// In the master: the worker with this number has ended.
    ChildExit(usize, Pid, Exit),
}

impl ProcessHooks {
    /// Runs a hook. What it raises is logged.
    pub(super) fn run(&self, py: Python<'_>, hook: ProcessHook) {
        let Some(hooks) = self.0.as_ref().map(|hooks| hooks.bind(py)) else {
            return;
        };
        let (name, result) = match hook {
            ProcessHook::WhenReady => ("when_ready", hooks.call_method0("when_ready")),
            ProcessHook::PostFork(number) => ("post_fork", hooks.call_method1("post_fork", (number,))),
            ProcessHook::WorkerExit => ("worker_exit", hooks.call_method0("worker_exit")),
            ProcessHook::ChildExit(number, pid, exit) => {
                // As multiprocessing counts: a signal is negative.
                let code = match exit {
                    Exit::Code(code) => code,
                    Exit::Signal(signal) => -signal,
                };
                ("child_exit", hooks.call_method1("child_exit", (number, pid.number(), code)))
            }
        };
        if let Err(error) = result {
            error!("the hook {name} has failed");
            failure(py, &error);
        }
    }

    /// As [`ProcessHooks::run`], where nothing else needs the interpreter.
    pub(super) fn run_in_master(&self, hook: ProcessHook) {
        if self.0.is_some() {
            Python::attach(|py| self.run(py, hook));
        }
    }
}
