//! Workers that have been told to exit.
//!
//! ```text
//! SIGTERM ── drain delay ──► drain
//! drain ────────────────────────────────── grace + 1 s ──► KILL ──► reaped, or left behind after 5 s
//!   └── second signal: stop after 1 s ── 1 s ────────────────┘
//! stop ── 1 s ──► KILL ──► reaped, or left behind after 5 s
//! ```
//!
//! Workers are told over their links, which needs no right to send signals. SIGKILL is for those that hang. A process
//! that it does not end waits for a disk, or the master may not kill it: it is left behind, and ends with its link when
//! it comes back to its loop.

use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::generation::Generation;
use super::worker_slot::{WorkerLink, WorkerProcess, WorkerSlot};
use super::{Ended, Master, Phase, Work, count};
use crate::sys::orders::MasterOrder;
use crate::sys::process::{self, Pid};
use crate::sys::signal::Signal;

/// A worker ends its drain by itself; one that has not is killed this long after the end of its grace.
const KILL_DELAY: Duration = Duration::from_secs(1);

/// How long a fast stop may take before the worker is killed.
pub(super) const FAST_STOP: Duration = Duration::from_secs(1);

/// How long a draining worker has left after a second signal: gunicorn's figure.
const SECOND_SIGNAL_GRACE: Duration = Duration::from_secs(2);

/// How long a process that was killed may take to end; then nothing waits for it any more.
pub(super) const LEAVE_DELAY: Duration = Duration::from_secs(5);

/// How a worker is told to exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopMode {
    /// Finish the responses within this time.
    Drain(Duration),
    /// Exit at once.
    Stop,
}

/// A process that has been told to exit.
#[derive(Debug)]
pub(super) struct ExitingWorker {
    pub(super) pid: Pid,
    /// A successor that has failed has none.
    pub(super) link: Option<WorkerLink>,
    stop_at: Option<Instant>,
    kill_at: Option<Instant>,
    /// Without any of the three times, the process is left behind.
    leave_at: Option<Instant>,
}

impl ExitingWorker {
    /// Tells a worker to exit.
    pub(super) fn of(worker: WorkerProcess, mode: StopMode, now: Instant) -> Self {
        Self::new(worker.pid, Some(worker.link), mode, now)
    }

    /// Tells a process to exit.
    pub(super) fn new(pid: Pid, link: Option<WorkerLink>, mode: StopMode, now: Instant) -> Self {
        let time = match mode {
            StopMode::Drain(grace) => grace + KILL_DELAY,
            StopMode::Stop => FAST_STOP,
        };
        tell(pid, link.as_ref(), mode);
        Self { pid, link, stop_at: None, kill_at: Some(now + time), leave_at: None }
    }

    /// A worker that hangs, and that SIGKILL does not end.
    pub(super) fn left_behind(worker: WorkerProcess) -> Self {
        tell(worker.pid, Some(&worker.link), StopMode::Stop);
        Self { pid: worker.pid, link: Some(worker.link), stop_at: None, kill_at: None, leave_at: None }
    }

    /// Whether nothing waits for its end any more.
    pub(super) fn is_left_behind(&self) -> bool {
        self.deadline().is_none()
    }

    /// Shortens the grace after a second signal: what can be finished in a second still is.
    fn shorten_grace(&mut self, now: Instant) {
        let latest = now + SECOND_SIGNAL_GRACE;
        if self.kill_at.is_some_and(|at| at > latest) {
            (self.stop_at, self.kill_at) = (Some(latest - FAST_STOP), Some(latest));
        }
    }

    /// When [`ExitingWorker::escalate`] is due next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.stop_at, self.kill_at, self.leave_at].into_iter().flatten().min()
    }

    /// Stops, kills and gives up the process when their time has come.
    pub(super) fn escalate(&mut self, now: Instant) {
        let pid = self.pid;
        if self.stop_at.take_if(|at| *at <= now).is_some() {
            tell(pid, self.link.as_ref(), StopMode::Stop);
        }
        if self.kill_at.take_if(|at| *at <= now).is_some() {
            match process::kill(pid) {
                Ok(()) => {
                    warn!("process {pid} did not stop in time and is killed");
                    self.leave_at = Some(now + LEAVE_DELAY);
                }
                Err(error) => {
                    error!(
                        "process {pid} did not stop in time, cannot be killed, and is left behind: {error}"
                    );
                }
            }
        }
        if self.leave_at.take_if(|at| *at <= now).is_some() {
            error!("process {pid} was killed and has not ended: it is left behind");
        }
    }
}

/// Tells a process to exit: a worker over its link, a successor, which has none, by a signal.
fn tell(pid: Pid, link: Option<&WorkerLink>, mode: StopMode) {
    let (order, signal) = match mode {
        StopMode::Drain(_) => (MasterOrder::Drain, Signal::Terminate),
        StopMode::Stop => (MasterOrder::Stop, Signal::Interrupt),
    };
    let told = link.is_some_and(|link| link.send(&order).is_ok());
    if !told && let Err(error) = process::send(pid, signal) {
        warn!("process {pid} cannot be told to exit: {error}");
    }
}

impl Master {
    /// Drains after the drain delay, in which a load balancer sees the health check fail and sends no new requests. A second
    /// SIGTERM ends the delay.
    pub(super) fn leave(&mut self, work: &mut dyn Work) {
        let (delay, now) = (self.plan.drain_delay, Instant::now());
        if delay.is_zero() || self.phase != Phase::Serving || self.current.slots.is_empty() {
            return self.stop(StopMode::Drain(self.plan.grace), work);
        }
        self.phase = Phase::Leaving(now + delay);
        self.reload_requested = false;
        self.give_up_pending(StopMode::Stop, now);
        work.leaving();
        let status = format!("Shutting down in {} s: health checks fail from now on", delay.as_secs_f64());
        info!("{status}");
        self.notifier.stopping(&status);
    }

    /// Stops because of a signal; a second one shortens the grace.
    pub(super) fn stop(&mut self, mode: StopMode, work: &mut dyn Work) {
        let now = Instant::now();
        if matches!(self.phase, Phase::Stopping(_)) {
            self.exiting.iter_mut().for_each(|worker| worker.shorten_grace(now));
            return;
        }
        let connections: u64 = self.links().map(|(_, link)| link.heartbeat.connections()).sum();
        let status = match mode {
            _ if connections == 0 => "Shutting down".into(),
            StopMode::Stop => format!("Shutting down: {} closed", count(connections, "connection")),
            StopMode::Drain(grace) => {
                let (connections, seconds) = (count(connections, "connection"), grace.as_secs_f64());
                format!("Shutting down: up to {seconds} s for {connections}")
            }
        };
        info!("{status}");
        self.notifier.stopping(&status);
        self.begin_stop(Ended::Stopped, mode, work);
    }

    /// Tells all workers to exit; no new ones are forked from here on.
    pub(super) fn begin_stop(&mut self, ended: Ended, mode: StopMode, work: &mut dyn Work) {
        self.phase = Phase::Stopping(ended);
        self.reload_requested = false;
        // Before the order: a worker that drains looks at what the server does.
        work.stopping();
        self.stop_all(mode, Instant::now());
    }

    pub(super) fn stop_all(&mut self, mode: StopMode, now: Instant) {
        if mode == StopMode::Stop {
            let exiting = std::mem::take(&mut self.exiting).into_iter();
            self.exiting =
                exiting.map(|worker| ExitingWorker::new(worker.pid, worker.link, mode, now)).collect();
        }
        self.stop_current(mode, now);
        self.give_up_pending(mode, now);
    }

    /// Ends a reload and an upgrade that are not complete.
    fn give_up_pending(&mut self, mode: StopMode, now: Instant) {
        if let Some(pending) = self.pending.take() {
            self.stop_generation(pending.generation, StopMode::Stop, now);
        }
        // A successor that is not ready yet would be left alone.
        let children = [self.rehearsal.take(), self.upgrade.take()].into_iter().flatten();
        for child in children.filter(|child| child.exit.is_none()) {
            self.exiting.push(ExitingWorker::new(child.pid, None, mode, now));
        }
    }

    /// Tells the current workers to exit, and leaves no slot to be filled.
    pub(super) fn stop_current(&mut self, mode: StopMode, now: Instant) {
        let empty = Generation { number: self.current.number, slots: Vec::new() };
        let current = std::mem::replace(&mut self.current, empty);
        self.stop_generation(current, mode, now);
    }

    pub(super) fn stop_generation(&mut self, mut generation: Generation, mode: StopMode, now: Instant) {
        let workers = generation.slots.iter_mut().filter_map(WorkerSlot::vacate);
        self.exiting.extend(workers.map(|worker| ExitingWorker::of(worker, mode, now)));
    }

    /// Every worker that runs, with its link.
    pub(super) fn links(&self) -> impl Iterator<Item = (Pid, &WorkerLink)> {
        let pending = self.pending.as_ref().map(|pending| &pending.generation);
        let workers = [Some(&self.current), pending].into_iter().flatten().flat_map(Generation::workers);
        let exiting = self.exiting.iter().filter_map(|worker| Some((worker.pid, worker.link.as_ref()?)));
        workers.map(|worker| (worker.pid, &worker.link)).chain(exiting)
    }
}
