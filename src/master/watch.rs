//! Looking after workers that hang: they live, but do not come back to their loop.
//!
//! A worker beats at least every [`Watch::every`]. One that has not for the worker time-out is told to abort, which
//! leaves a trace of where it was, and killed a second later. A master that has not looked for a while itself was
//! suspended, and so perhaps were its workers: it forgives what lies before, and counts from then on.

use std::time::{Duration, Instant};

use log::{error, warn};

use super::READY_WITHIN;
use super::worker_slot::WorkerProcess;
use crate::heartbeat::{RESTING_BEAT, WorkerState};
use crate::sys::process;
use crate::sys::signal::Signal;

/// Between the signal that can be caught and the one that cannot.
const ABORT_TIME: Duration = Duration::from_secs(1);

/// Beats in a time-out: one that is late is no sign yet.
const BEATS: u32 = 4;

/// How much later than it should a look may be before it is taken for a suspension.
const LATE: Duration = Duration::from_millis(500);

/// When the workers are looked at, and what is wrong with them.
#[derive(Debug)]
pub(super) struct Watch {
    /// Zero: nobody is ended.
    timeout: Duration,
    every: Duration,
    /// Half of the time in which a service manager wants to hear of us, and two beats at the least.
    well_within: Duration,
    looked: Instant,
    forgiven: Instant,
}

impl Watch {
    /// With the time that a worker may be away, and that in which a service manager wants to hear of us.
    pub(super) fn new(timeout: Duration, watchdog: Option<Duration>, now: Instant) -> Self {
        let limits = [timeout, watchdog.unwrap_or_default()].into_iter().filter(|limit| !limit.is_zero());
        let every = limits.map(|limit| limit / BEATS).chain([RESTING_BEAT]).min().unwrap_or(RESTING_BEAT);
        let well_within = watchdog.map_or(every, |watchdog| watchdog / 2).max(every * 2);
        Self { timeout, every, well_within, looked: now, forgiven: now }
    }

    /// How often workers beat, and are looked at.
    pub(super) fn every(&self) -> Duration {
        self.every
    }

    /// When the next look is due.
    pub(super) fn next(&self) -> Instant {
        self.looked + self.every
    }

    /// The master looks now: finds out whether it has been away itself.
    pub(super) fn look(&mut self, now: Instant) {
        if now.saturating_duration_since(self.looked) > self.every * 2 + LATE {
            self.forgiven = now;
        }
        self.looked = now;
    }

    /// How long nothing has been seen of this worker.
    pub(super) fn silence(&self, holder: &WorkerProcess, now: Instant) -> Duration {
        now.saturating_duration_since(holder.line.slot.last_beat().max(self.forgiven))
    }

    /// Whether something has been seen of this worker lately enough for a service manager to be told so.
    pub(super) fn is_well(&self, holder: &WorkerProcess, now: Instant) -> bool {
        self.silence(holder, now) <= self.well_within
    }

    /// Ends the worker if it hangs. One that sets itself up may have much to load, and does not beat meanwhile.
    pub(super) fn check(&self, holder: &mut WorkerProcess, now: Instant) {
        let silence = self.silence(holder, now);
        let limit = match holder.line.slot.state() {
            WorkerState::Booting => self.timeout.max(READY_WITHIN),
            WorkerState::Ready | WorkerState::Draining => self.timeout,
        };
        if self.timeout.is_zero() || silence < limit {
            return;
        }
        let (pid, seconds) = (holder.pid, silence.as_secs_f64());
        match holder.aborted {
            None => {
                error!("worker {pid} has not been at its loop for {seconds:.1} s and is told to abort");
                holder.aborted = Some(now);
                let _ = process::send(pid, Signal::Abort);
            }
            Some(at) if !holder.killed && now.saturating_duration_since(at) >= ABORT_TIME => {
                warn!("worker {pid} does not even abort and is killed");
                holder.killed = true;
                let _ = process::kill(pid);
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::Scoreboard;
    use crate::master::worker_slot::{WorkerLink, WorkerSlot};
    use crate::sys::fd_passing;

    #[test]
    fn beats_fit_into_the_shorter_limit() {
        let every = |timeout, watchdog: Option<u64>| {
            let watchdog = watchdog.map(Duration::from_millis);
            Watch::new(Duration::from_millis(timeout), watchdog, Instant::now()).every().as_millis()
        };
        assert_eq!([every(10_000, None), every(1000, None), every(0, None)], [1000, 250, 1000]);
        assert_eq!([every(10_000, Some(800)), every(0, Some(800))], [200, 200]);
    }

    /// RULES D16: whoever was suspended does not hold it against the others.
    #[test]
    fn a_late_look_forgives() {
        let start = Instant::now();
        let mut seat = WorkerSlot::vacant(start);
        let slot = Scoreboard::new(1).expect("memory").take(1).expect("a slot");
        let line = WorkerLink { slot, socket: fd_passing::pair().expect("sockets").0 };
        seat.take(process::current(), line, start);
        let holder = seat.holder.expect("a holder");
        let mut watch = Watch::new(Duration::from_secs(10), None, start);
        let at = |seconds| start + Duration::from_secs(seconds);
        (1..=9).for_each(|second| watch.look(at(second)));
        assert!(
            watch.silence(&holder, at(9)) > Duration::from_secs(8),
            "nothing was seen, and the look was not late"
        );
        watch.look(at(69));
        assert_eq!(watch.silence(&holder, at(69)), Duration::ZERO);
        assert_eq!(watch.silence(&holder, at(71)), Duration::from_secs(2));
    }
}
