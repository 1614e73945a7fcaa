//! One worker of a generation, and when the next one takes its place.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::heartbeat::{HeartbeatSlot, WorkerState};
use crate::sys::orders::{self, MasterOrder};
use crate::sys::process::{self, Pid};

/// A worker that ends earlier than this counts as a failure.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// A worker that lives longer than this clears the failures before it.
const LONG_LIFE: Duration = Duration::from_secs(10);
/// The delay after a second failure in a row, doubled for each failure after it.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay, without jitter.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// A delay is longer by up to a fourth, so that workers that die of the same cause do not come back together.
const JITTER: u32 = 4;

/// What connects the master with one worker.
#[derive(Debug)]
pub(super) struct WorkerLink {
    /// The number of the worker's slot.
    pub(super) slot: usize,
    pub(super) heartbeat: HeartbeatSlot,
    /// Orders go through it. It is closed when the master ends, however it ends.
    pub(super) socket: OwnedFd,
}

impl WorkerLink {
    /// Sends an order; it never waits for the worker.
    pub(super) fn send(&self, order: &MasterOrder) -> io::Result<()> {
        orders::send(self.socket.as_fd(), order)
    }
}

#[derive(Debug)]
pub(super) struct WorkerProcess {
    pub(super) pid: Pid,
    pub(super) link: WorkerLink,
    started: Instant,
    /// When it was told to abort because it does not come back to its loop.
    pub(super) aborted: Option<Instant>,
    /// When it was killed because it did not abort.
    pub(super) killed: Option<Instant>,
}

/// The place of one worker. The first worker that dies is replaced at once; workers that keep dying young are
/// replaced ever more slowly, so that a crash loop does not take all of the machine (RULES D4).
#[derive(Debug)]
pub(super) struct WorkerSlot {
    pub(super) worker: Option<WorkerProcess>,
    due: Option<Instant>,
    failures: u32,
}

impl WorkerSlot {
    /// An empty slot that is to be filled now.
    pub(super) fn empty(now: Instant) -> Self {
        Self { worker: None, due: Some(now), failures: 0 }
    }

    /// When it is to be filled, if it is empty.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether its worker serves.
    pub(super) fn is_ready(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.link.heartbeat.state() != WorkerState::Booting)
    }

    pub(super) fn fill(&mut self, pid: Pid, link: WorkerLink, now: Instant) {
        self.worker = Some(WorkerProcess { pid, link, started: now, aborted: None, killed: None });
        self.due = None;
    }

    /// Empties the slot for good.
    pub(super) fn vacate(&mut self) -> Option<WorkerProcess> {
        self.due = None;
        self.worker.take()
    }

    /// Plans the next worker after this one has died, or could not be forked. Returns the delay.
    pub(super) fn schedule_replacement(&mut self, now: Instant) -> Duration {
        let started = self.worker.take().map(|worker| worker.started);
        let life = started.map_or(Duration::ZERO, |started| now.saturating_duration_since(started));
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
        let delay = delay + delay.mul_f64(random_fraction()) / JITTER;
        self.due = Some(now + delay);
        delay
    }
}

/// A number from 0 to 1. The last digits of the clock are random enough for a jitter.
fn random_fraction() -> f64 {
    f64::from(u32::try_from(process::monotonic_micros() % 1000).unwrap_or_default()) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::Scoreboard;

    #[test]
    fn a_crash_loop_is_slowed_down_and_a_long_life_clears_it() {
        let heartbeat = Scoreboard::new(1).expect("memory").take(0).expect("a slot");
        let link = || WorkerLink { slot: 0, heartbeat, socket: orders::pair().expect("sockets").0 };
        let mut now = Instant::now();
        let mut slot = WorkerSlot::empty(now);
        let mut live = |life| {
            slot.fill(process::current(), link(), now);
            now += life;
            slot.schedule_replacement(now).as_millis()
        };
        for least in [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let delay = live(Duration::from_millis(10));
            assert!((least..=least + least / 4).contains(&delay), "{delay} ms, not {least}");
        }
        assert_eq!(live(Duration::from_secs(2)), 0, "no failure at its start");
        assert!(live(Duration::from_millis(10)) >= 5000, "but the earlier ones count");
        assert_eq!(live(Duration::from_secs(11)), 0);
        assert_eq!(live(Duration::from_millis(10)), 0);
    }
}
