//! A worker's place: who holds it, and when it is filled again.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::heartbeat::{HeartbeatSlot, WorkerState};
use crate::sys::process::{self, Pid};

/// A worker that lives shorter than this has failed at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// A worker that lives longer than this has the failures before it forgotten.
const LONG_LIFE: Duration = Duration::from_secs(10);
/// The first delay after a second failure in a row, doubled for each after it.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// No delay is longer, but for the jitter.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// A delay is longer by up to this part of it, so that workers that die of the same thing do not come back together.
const JITTER: u32 = 4;

/// What connects the master with one worker.
#[derive(Debug)]
pub(super) struct WorkerLink {
    pub(super) slot: HeartbeatSlot,
    /// It is closed when this process ends, however it ends.
    pub(super) socket: OwnedFd,
}

/// One worker process.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    pub(super) pid: Pid,
    pub(super) line: WorkerLink,
    born: Instant,
    /// When it was told to end because it does not come back to its loop.
    pub(super) aborted: Option<Instant>,
    /// Whether it was killed for that.
    pub(super) killed: bool,
}

/// A worker's place. The first who dies is replaced at once; workers that keep dying young are replaced ever
/// more slowly, so that a crash loop does not take the machine with it (RULES D4).
#[derive(Debug)]
pub(super) struct WorkerSlot {
    pub(super) holder: Option<WorkerProcess>,
    due: Option<Instant>,
    failures: u32,
}

impl WorkerSlot {
    /// An empty seat, to be filled now.
    pub(super) fn vacant(now: Instant) -> Self {
        Self { holder: None, due: Some(now), failures: 0 }
    }

    /// Who holds it.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.holder.as_ref().map(|holder| holder.pid)
    }

    /// When it is to be filled, if it is empty.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether its holder serves.
    pub(super) fn is_ready(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.line.slot.state() != WorkerState::Booting)
    }

    pub(super) fn take(&mut self, pid: Pid, line: WorkerLink, now: Instant) {
        self.holder = Some(WorkerProcess { pid, line, born: now, aborted: None, killed: false });
        self.due = None;
    }

    /// Empties it for good; answers who held it.
    pub(super) fn leave(&mut self) -> Option<WorkerProcess> {
        self.due = None;
        self.holder.take()
    }

    /// Its holder has died, or could not be forked; answers how long the seat stays empty.
    pub(super) fn lose(&mut self, now: Instant) -> Duration {
        let born = self.holder.take().map(|holder| holder.born);
        let life = born.map_or(Duration::ZERO, |born| now.saturating_duration_since(born));
        if life >= LONG_LIFE {
            self.failures = 0;
        }
        let delay = match self.failures {
            failures if failures > 0 && life < SHORT_LIFE => {
                FIRST_DELAY.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_DELAY)
            }
            _ => Duration::ZERO,
        };
        if life < SHORT_LIFE {
            self.failures += 1;
        }
        let delay = delay + delay.mul_f64(chance()) / JITTER;
        self.due = Some(now + delay);
        delay
    }
}

/// Somewhere from 0 to 1: the clock's last digits are chance enough for this.
fn chance() -> f64 {
    f64::from(u32::try_from(process::monotonic_micros() % 1000).unwrap_or_default()) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::Scoreboard;
    use crate::sys::fd_passing;

    #[test]
    fn a_crash_loop_is_slowed_down_and_a_long_life_forgives() {
        let slot = Scoreboard::new(1).expect("memory").take(0).expect("a slot");
        let line = || WorkerLink { slot, socket: fd_passing::pair().expect("sockets").0 };
        let mut now = Instant::now();
        let mut seat = WorkerSlot::vacant(now);
        let mut live = |seat: &mut WorkerSlot, life| {
            seat.take(process::current(), line(), now);
            now += life;
            seat.lose(now).as_millis()
        };
        for least in [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let delay = live(&mut seat, Duration::from_millis(10));
            assert!((least..=least + least / 4).contains(&delay), "{delay} ms, not {least}");
        }
        assert_eq!(live(&mut seat, Duration::from_secs(2)), 0, "no crash at its start");
        assert!(live(&mut seat, Duration::from_millis(10)) >= 5000, "but not forgotten");
        assert_eq!(live(&mut seat, Duration::from_secs(11)), 0);
        assert_eq!(live(&mut seat, Duration::from_millis(10)), 0);
    }
}
