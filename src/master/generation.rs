//! The workers of one generation, and those that have been told to go.
//!
//! ```text
//! Generation:    vacant seat ──fork──► booting ──► ready ──┐
//!             ▲                     │death           │ TERM: drain; INT: stop
//!             └──── after a while ──┘                ▼
//! ExitingWorker:                       told to go ──(stop_at: INT)──(kill_at: KILL)──► reaped
//! ```

use std::time::{Duration, Instant};

use log::warn;

use super::worker_slot::{WorkerLink, WorkerProcess, WorkerSlot};
use crate::sys::process::{self, Pid};
use crate::sys::signal::Signal;

/// A worker ends its drain by itself; only one that does not is killed, so much later.
const KILL_DELAY: Duration = Duration::from_secs(1);

/// How long a fast stop may take before it is made sure of.
pub(super) const FAST_STOP: Duration = Duration::from_secs(1);

/// How long is waited when the order has come a second time: gunicorn's figure.
const HURRY: Duration = Duration::from_secs(2);

/// Workers that were begun with the same configuration.
#[derive(Debug)]
pub(super) struct Generation {
    /// Counts the configurations, from 1.
    pub(super) generation: u64,
    pub(super) seats: Vec<WorkerSlot>,
}

impl Generation {
    /// So many vacant seats.
    pub(super) fn new(generation: u64, workers: usize, now: Instant) -> Self {
        Self { generation, seats: (0..workers.max(1)).map(|_| WorkerSlot::vacant(now)).collect() }
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = &WorkerProcess> {
        self.seats.iter().filter_map(|seat| seat.holder.as_ref())
    }

    pub(super) fn holders_mut(&mut self) -> impl Iterator<Item = &mut WorkerProcess> {
        self.seats.iter_mut().filter_map(|seat| seat.holder.as_mut())
    }

    pub(super) fn seat_of(&mut self, pid: Pid) -> Option<&mut WorkerSlot> {
        self.seats.iter_mut().find(|seat| seat.pid() == Some(pid))
    }

    /// A seat whose time has come.
    pub(super) fn due_seat(&self, now: Instant) -> Option<usize> {
        self.seats.iter().position(|seat| seat.due().is_some_and(|due| due <= now))
    }

    /// Whether every seat is held by a worker that serves.
    pub(super) fn is_ready(&self) -> bool {
        self.seats.iter().all(WorkerSlot::is_ready)
    }
}

/// How a worker is told to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopMode {
    /// Finish what is due within this time.
    Drain(Duration),
    /// Stop.
    Stop,
}

/// A process that has been told to go.
#[derive(Debug)]
pub(super) struct ExitingWorker {
    pub(super) pid: Pid,
    /// To a worker.
    pub(super) line: Option<WorkerLink>,
    stop_at: Option<Instant>,
    kill_at: Option<Instant>,
}

impl ExitingWorker {
    /// Tells the worker to go.
    pub(super) fn of(holder: WorkerProcess, farewell: StopMode, now: Instant) -> Self {
        Self::new(holder.pid, Some(holder.line), farewell, now)
    }

    /// Tells the process to go.
    pub(super) fn new(pid: Pid, line: Option<WorkerLink>, farewell: StopMode, now: Instant) -> Self {
        let (signal, time) = match farewell {
            StopMode::Drain(grace) => (Signal::Terminate, grace + KILL_DELAY),
            StopMode::Stop => (Signal::Interrupt, FAST_STOP),
        };
        // It may have ended meanwhile; then it is about to be reaped.
        let _ = process::send(pid, signal);
        Self { pid, line, stop_at: None, kill_at: Some(now + time) }
    }

    /// The order has come a second time: what can be finished in a second still is.
    pub(super) fn hurry(&mut self, now: Instant) {
        let sooner = |at: Option<Instant>, by: Instant| at.map(|at| at.min(by));
        if self.kill_at.is_some_and(|at| at > now + HURRY) {
            self.stop_at = Some(now + HURRY - FAST_STOP);
        }
        self.kill_at = sooner(self.kill_at, now + HURRY);
    }

    /// When it has to be pressed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.stop_at, self.kill_at].into_iter().flatten().min()
    }

    /// Does what its time has come for. Whom not even KILL ends waits for a disk, and the reaping waits for him.
    pub(super) fn escalate(&mut self, now: Instant) {
        if self.stop_at.take_if(|at| *at <= now).is_some() {
            let _ = process::send(self.pid, Signal::Interrupt);
        }
        if self.kill_at.take_if(|at| *at <= now).is_some() {
            warn!("process {} did not stop in time and is killed", self.pid);
            let _ = process::kill(self.pid);
        }
    }
}
