//! A worker on the reactor, with the status page if there is one.

use std::io;

use crate::master::{BOOT_FAILURE, FAILURE};
use crate::reactor::{Probe, Reactor, Recorded};
use crate::server::{Worker, WorkerError, WorkerService};
use crate::status::{Station, Unrecorded};

/// Serves until the worker is told to stop. A worker with a status page and one without are compiled apart, so that the
/// second one executes nothing for the first.
///
/// # Errors
/// Why it cannot serve, and the exit code.
pub fn serve<S>(worker: Worker<S>, status: Option<Station>) -> Result<(), (i32, io::Error)>
where
    S: WorkerService + std::fmt::Debug + 'static,
{
    let boot_failure = |error| (BOOT_FAILURE, error);
    if status.is_none() {
        return worker.run().map_err(|error| match error {
            WorkerError::Boot(error) => (BOOT_FAILURE, error),
            WorkerError::Serve(error) => (FAILURE, error),
        });
    }
    match worker.recorder.clone() {
        None => serve_on(worker, status, Reactor::with_probe(Unrecorded).map_err(boot_failure)?),
        Some(recorder) => {
            let reactor = Reactor::with_probe(Recorded::new(recorder)).map_err(boot_failure)?;
            serve_on(worker, status, reactor)
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
    let boot_failure = |error| (BOOT_FAILURE, error);
    let served = match status {
        None => worker.boot_on(reactor).map_err(boot_failure)?.serve(),
        Some(station) => station.boot(worker, reactor).map_err(boot_failure)?.serve(),
    };
    served.map_err(|error| (FAILURE, error))
}
