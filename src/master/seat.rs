//! A worker's place: who holds it, and when it is filled again.

use std::time::{Duration, Instant};

use crate::sys::process::Pid;

/// A worker that lives shorter than this has failed at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// A worker that lives longer than this has the failures before it forgotten.
const LONG_LIFE: Duration = Duration::from_secs(10);
/// The first delay after a second failure in a row, doubled for each after it.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// No delay is longer.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// A worker's place. The first death is replaced at once; workers that keep dying young are replaced ever
/// more slowly, so that a crash loop does not take the machine with it (RULES D4).
#[derive(Debug, Default)]
pub(super) struct Seat {
    pid: Option<Pid>,
    born: Option<Instant>,
    due: Option<Instant>,
    generations: u64,
    failures: u32,
}

impl Seat {
    /// Who holds it.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// When it is to be filled, if it is empty.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether its holder is the first it has had.
    pub(super) fn is_first(&self) -> bool {
        self.generations == 1
    }

    pub(super) fn take(&mut self, pid: Pid, now: Instant) {
        self.pid = Some(pid);
        self.born = Some(now);
        self.due = None;
        self.generations += 1;
    }

    /// Empties it for good.
    pub(super) fn leave(&mut self) {
        self.pid = None;
        self.due = None;
    }

    /// Its holder has died, or could not be forked; answers how long the seat stays empty.
    pub(super) fn lose(&mut self, now: Instant) -> Duration {
        let life = self.born.take().map_or(Duration::ZERO, |born| now.saturating_duration_since(born));
        if life >= LONG_LIFE {
            self.failures = 0;
        }
        let delay = match self.failures {
            0 => Duration::ZERO,
            failures => FIRST_DELAY.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_DELAY),
        };
        if life < SHORT_LIFE {
            self.failures += 1;
        }
        self.pid = None;
        self.due = Some(now + delay);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process;

    #[test]
    fn a_crash_loop_is_slowed_down_and_a_long_life_forgives() {
        let (mut seat, mut now) = (Seat::default(), Instant::now());
        let mut live = |seat: &mut Seat, life| {
            seat.take(process::current(), now);
            now += life;
            seat.lose(now).as_millis()
        };
        let delays: Vec<_> = (0..9).map(|_| live(&mut seat, Duration::from_millis(10))).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(live(&mut seat, Duration::from_secs(11)), 0);
        assert_eq!(live(&mut seat, Duration::from_secs(2)), 0);
    }
}
