//! A worker on the reactor, with the status page if there is one.

use std::io;

use crate::access::Access;
use crate::master::{BOOT_FAILURE, FAILURE};
use crate::reactor::{Probe, Reactor, Recorded};
use crate::server::{Running, Worker, WorkerService};
use crate::status::{Station, Unrecorded};

/// Serves until the worker is told to stop, and records the loop if the worker has a recorder. A worker that is neither
/// recorded nor watched is compiled apart, so that it executes nothing for either; so is one that serves everybody.
///
/// # Errors
/// Why it cannot serve, and the exit code.
pub fn serve<S>(worker: Worker<S>, status: Option<Station>, access: Access) -> Result<(), (i32, io::Error)>
where
    S: WorkerService + std::fmt::Debug + 'static,
{
    if access.is_restricted() {
        return serve_some(worker, status, access);
    }
    match (worker.recorder.clone(), status) {
        (None, None) => run(Reactor::new().and_then(|reactor| worker.boot_on(reactor))),
        (None, Some(station)) => {
            run(Reactor::with_probe(Unrecorded).and_then(|reactor| station.boot(worker, reactor, |all| all)))
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
        Some(station) => run(station.boot(worker, reactor, |all| all)),
    }
}

/// As [`serve`], for some clients only: the status page at a path of the public port is behind the same conditions.
fn serve_some<S>(worker: Worker<S>, status: Option<Station>, access: Access) -> Result<(), (i32, io::Error)>
where
    S: WorkerService + std::fmt::Debug + 'static,
{
    let boot_failure = |error| (BOOT_FAILURE, error);
    match worker.recorder.clone() {
        None => {
            let reactor = Reactor::with_probe(Unrecorded).map_err(boot_failure)?;
            serve_some_on(worker, status, access, reactor)
        }
        Some(recorder) => {
            let reactor = Reactor::with_probe(Recorded::new(recorder)).map_err(boot_failure)?;
            serve_some_on(worker, status, access, reactor)
        }
    }
}

/// As [`serve_on`], for the clients that have `access`.
///
/// # Errors
/// As [`serve`].
pub fn serve_some_on<S, P: Probe>(
    worker: Worker<S>,
    status: Option<Station>,
    access: Access,
    reactor: Reactor<P>,
) -> Result<(), (i32, io::Error)>
where
    S: WorkerService + std::fmt::Debug + 'static,
{
    let waker = reactor.waker();
    match status {
        None => run(worker.map_service(|inner| access.around(inner, waker)).boot_on(reactor)),
        Some(station) => run(station.boot(worker, reactor, |all| access.around(all, waker))),
    }
}

fn run<S: WorkerService, P: Probe>(running: io::Result<Running<S, P>>) -> Result<(), (i32, io::Error)> {
    let running = running.map_err(|error| (BOOT_FAILURE, error))?;
    running.serve().map_err(|error| (FAILURE, error))
}
