//! When the next request is due: after a think time, or at a fixed moment.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use stheno::clock::Instant;

/// Decides when a user, or a connection, sends its next request.
#[derive(Debug)]
pub(crate) enum Pace {
    /// Closed: a random think time after the response.
    Thinks { dice: Dice, least: Duration, most: Duration },
    /// Open: the next moment of a schedule that all connections of a thread share.
    Keeps(Rc<Schedule>),
}

impl Pace {
    /// When the next request is due, if the response has come at `now`.
    pub(crate) fn next(&mut self, now: Instant) -> Instant {
        match self {
            Self::Thinks { dice, least, most } => now + *least + (*most - *least).mul_f64(dice.fraction()),
            Self::Keeps(schedule) => schedule.take(),
        }
    }
}

/// Moments at equal distances. Each is given out once, in order, also when it is in the past.
#[derive(Debug)]
pub(crate) struct Schedule {
    begun: Instant,
    rate: f64,
    next: Cell<u64>,
    step: u64,
}

impl Schedule {
    /// `rate` moments a second from `begun` on; this thread gets every `step`th, starting with number `first`.
    pub(crate) fn new(begun: Instant, rate: f64, first: u64, step: u64) -> Self {
        Self { begun, rate, next: Cell::new(first), step }
    }

    /// The next moment that has yet to be given out.
    pub(crate) fn take(&self) -> Instant {
        let number = self.next.get();
        self.next.set(number + self.step);
        self.begun + Duration::from_secs_f64(number as f64 / self.rate)
    }
}

/// Random numbers that can be repeated: SplitMix64 (Steele, Lea and Flood 2014), one stream for each user.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(seed: u64, user: u64) -> Self {
        let mut dice = Self(seed ^ user.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Neighbouring users start at neighbouring states; the first output is mixed and so becomes the state.
        Self(dice.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, 1: the 53 bits that a double has room for.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
