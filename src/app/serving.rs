//! A worker on the reactor, with the status page if there is one.

use std::io;

use crate::master::{BOOT_FAILURE, FAILURE};
use crate::reactor::{Probe, Reactor, Recorded};
use crate::server::{Running, Worker, WorkerService};
use crate::status::{Station, Unrecorded};

/// Serves until the worker is told to stop, and records the loop if the worker has a recorder. A worker that is neither
/// recorded nor watched is compiled apart, so that it executes nothing for either.
///
/// # Errors
/// Why it cannot serve, and the exit code.
pub fn serve<S>(worker: Worker<S>, status: Option<Station>) -> Result<(), (i32, io::Error)>
where
    S: WorkerService + std::fmt::Debug + 'static,
{
    match (worker.recorder.clone(), status) {
        (None, None) => run(Reactor::new().and_then(|reactor| worker.boot_on(reactor))),
        (None, Some(station)) => {
            run(Reactor::with_probe(Unrecorded).and_then(|reactor| station.boot(worker, reactor)))
        }
        (Some(recorder), status) => {
            let reactor = Reactor::with_probe(Recorded::new(recorder));
            serve_on(worker, status, reactor.map_err(|error| (BOOT_FAILURE, error))?)
        }
    }
}

/// As [`serve`], on a reactor that exists already.
///
/// # Errors
/// As [`serve`].
pub fn serve_on<S, P: Probe>(
    worker: Worker<S>,
    status: Option<Station>,
    reactor: Reactor<P>,
) -> Result<(), (i32, io::Error)>
where
    S: WorkerService + std::fmt::Debug + 'static,
{
    match status {
        None => run(worker.boot_on(reactor)),
        Some(station) => run(station.boot(worker, reactor)),
    }
}

fn run<S: WorkerService, P: Probe>(running: io::Result<Running<S, P>>) -> Result<(), (i32, io::Error)> {
    let running = running.map_err(|error| (BOOT_FAILURE, error))?;
    running.serve().map_err(|error| (FAILURE, error))
}
