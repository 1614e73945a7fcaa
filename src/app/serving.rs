//! A worker on the reactor, with the status page if there is one.

use std::io;

use crate::master::{BOOT_FAILURE, FAILURE};
use crate::reactor::Reactor;
use crate::server::{Worker, WorkerService};
use crate::status::Station;

/// Serves on `reactor` until the worker is told to stop. The two ways are compiled apart, so that a worker without a status
/// page executes nothing for it.
///
/// # Errors
/// Why it cannot serve, and the exit code.
pub fn serve<S>(worker: Worker<S>, status: Option<Station>, reactor: Reactor) -> Result<(), (i32, io::Error)>
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
