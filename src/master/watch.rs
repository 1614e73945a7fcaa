//! Workers that hang: they run, but do not come back to their loop.
//!
//! A worker beats at least every [`Watch::every`]. One that has not for the worker time-out is told to abort, which
//! leaves a trace of where it was if its sandbox allows one, and is killed a second later; the master logs what it sees
//! from outside. One that cannot be killed is left behind. A master that has not looked for a while was suspended
//! itself, and so perhaps were its workers: it ignores the time before, and counts from then on.

use std::time::{Duration, Instant};

use log::{error, warn};

use super::READY_TIMEOUT;
use super::stopping::LEAVE_DELAY;
use super::worker_slot::WorkerProcess;
use crate::heartbeat::{RESTING_BEAT, WorkerState};
use crate::sys::process;
use crate::sys::signal::Signal;

/// The time between SIGABRT, which can be caught, and SIGKILL.
const ABORT_TIME: Duration = Duration::from_secs(1);

/// Beats in a time-out: a single late one is no failure.
const BEATS: u32 = 4;

/// A look that is later than this (and two beats) means that the master was suspended.
const LATE: Duration = Duration::from_millis(500);

/// When the workers are looked at, and which of them hang.
#[derive(Debug)]
pub(super) struct Watch {
    /// Zero: no worker is ended.
    timeout: Duration,
    every: Duration,
    /// Half of a service manager's watchdog time, and at least two beats.
    alive_within: Duration,
    looked: Instant,
    /// Silence before this does not count.
    counts_from: Instant,
}

impl Watch {
    /// A watch with the time-out of workers and a service manager's watchdog time.
    pub(super) fn new(timeout: Duration, watchdog: Option<Duration>, now: Instant) -> Self {
        let limits = [timeout, watchdog.unwrap_or_default()].into_iter().filter(|limit| !limit.is_zero());
        let every = limits.map(|limit| limit / BEATS).chain([RESTING_BEAT]).min().unwrap_or(RESTING_BEAT);
        let alive_within = watchdog.map_or(every, |watchdog| watchdog / 2).max(every * 2);
        Self { timeout, every, alive_within, looked: now, counts_from: now }
    }

    /// The time between two beats of a worker, and between two looks.
    pub(super) fn every(&self) -> Duration {
        self.every
    }

    pub(super) fn next(&self) -> Instant {
        self.looked + self.every
    }

    /// Notes that the master looks now, and whether it was suspended before.
    pub(super) fn look(&mut self, now: Instant) {
        if now.saturating_duration_since(self.looked) > self.every * 2 + LATE {
            self.counts_from = now;
        }
        self.looked = now;
    }

    /// The time since the last beat of a worker.
    fn silence(&self, worker: &WorkerProcess, now: Instant) -> Duration {
        now.saturating_duration_since(worker.link.heartbeat.last_beat().max(self.counts_from))
    }

    /// Whether a worker has beaten lately enough to tell a service manager so.
    pub(super) fn is_well(&self, worker: &WorkerProcess, now: Instant) -> bool {
        self.silence(worker, now) <= self.alive_within
    }

    /// Ends a worker that hangs. One that boots may have much to load, and does not beat meanwhile. Returns whether it
    /// cannot be ended.
    pub(super) fn check(&self, worker: &mut WorkerProcess, now: Instant) -> bool {
        let silence = self.silence(worker, now);
        let limit = match worker.link.heartbeat.state() {
            WorkerState::Booting => self.timeout.max(READY_TIMEOUT),
            WorkerState::Ready | WorkerState::Draining | WorkerState::Ended => self.timeout,
        };
        if self.timeout.is_zero() || silence < limit {
            (worker.aborted, worker.killed) = (None, None);
            return false;
        }
        let (pid, seconds) = (worker.pid, silence.as_secs_f64());
        let is_over = |since: Instant, time| now.saturating_duration_since(since) >= time;
        match (worker.aborted, worker.killed) {
            (None, _) => {
                let activity = process::activity(pid);
                error!(
                    "worker {pid} has not been at its loop for {seconds:.1} s and is told to abort: {activity}"
                );
                worker.aborted = Some(now);
                // If it may not be signalled, it may not be killed either, which is reported then.
                let _ = process::send(pid, Signal::Abort);
            }
            (Some(at), None) if is_over(at, ABORT_TIME) => {
                worker.killed = Some(now);
                match process::kill(pid) {
                    Ok(()) => warn!("worker {pid} has not aborted either and is killed"),
                    Err(error) => error!("worker {pid} has not aborted either and cannot be killed: {error}"),
                }
            }
            _ => {}
        }
        worker.killed.is_some_and(|at| is_over(at, LEAVE_DELAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::Scoreboard;
    use crate::master::worker_slot::{WorkerLink, WorkerSlot};
    use crate::sys::orders;

    #[test]
    fn beats_fit_into_the_shorter_limit() {
        let every = |timeout, watchdog: Option<u64>| {
            let watchdog = watchdog.map(Duration::from_millis);
            Watch::new(Duration::from_millis(timeout), watchdog, Instant::now()).every().as_millis()
        };
        assert_eq!([every(10_000, None), every(1000, None), every(0, None)], [1000, 250, 1000]);
        assert_eq!([every(10_000, Some(800)), every(0, Some(800))], [200, 200]);
    }

    /// RULES D16: a master that was suspended does not blame its workers.
    #[test]
    fn silence_before_a_late_look_does_not_count() {
        let start = Instant::now();
        let mut slot = WorkerSlot::empty(start);
        let heartbeat = Scoreboard::new(1).expect("memory").take(1).expect("a slot");
        let link = WorkerLink { slot: 0, heartbeat, socket: orders::pair().expect("sockets").0 };
        slot.fill(process::current(), link, start);
        let worker = slot.worker.expect("a worker");
        let mut watch = Watch::new(Duration::from_secs(10), None, start);
        let at = |seconds| start + Duration::from_secs(seconds);
        (1..=9).for_each(|second| watch.look(at(second)));
        assert!(watch.silence(&worker, at(9)) > Duration::from_secs(8), "no beat, and no late look");
        watch.look(at(69));
        assert_eq!(watch.silence(&worker, at(69)), Duration::ZERO);
        assert_eq!(watch.silence(&worker, at(71)), Duration::from_secs(2));
    }
}
