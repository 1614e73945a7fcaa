//! When the next request is due: after a thought, or at a fixed moment.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use stheno::clock::Instant;

/// What decides when a user, or a connection, asks next.
#[derive(Debug)]
pub(crate) enum Pace {
    /// Closed: so long after the answer, by chance.
    Thinks { dice: Dice, least: Duration, most: Duration },
    /// Open: at the next moment of a schedule that all connections of a thread work through.
    Keeps(Rc<Schedule>),
}

impl Pace {
    /// When to ask next, if the answer has come now.
    pub(crate) fn next(&mut self, now: Instant) -> Instant {
        match self {
            Self::Thinks { dice, least, most } => now + *least + (*most - *least).mul_f64(dice.fraction()),
            Self::Keeps(schedule) => schedule.take(),
        }
    }
}

/// Moments at equal distances. Each is given out once, in order; one that is in the past is as due as any.
#[derive(Debug)]
pub(crate) struct Schedule {
    begun: Instant,
    rate: f64,
    next: Cell<u64>,
    step: u64,
}

impl Schedule {
    /// `rate` moments a second from `begun` on, of which this thread has every `step`th from the `first`.
    pub(crate) fn new(begun: Instant, rate: f64, first: u64, step: u64) -> Self {
        Self { begun, rate, next: Cell::new(first), step }
    }

    /// The next moment that nobody has.
    pub(crate) fn take(&self) -> Instant {
        let number = self.next.get();
        self.next.set(number + self.step);
        self.begun + Duration::from_secs_f64(number as f64 / self.rate)
    }
}

/// Chance that can be had again: SplitMix64 (Steele, Lea and Flood 2014), one stream for each user.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(seed: u64, user: u64) -> Self {
        let mut dice = Self(seed ^ user.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Neighbours begin at neighbouring states; what comes of these is mixed.
        Self(dice.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1, 1 not included: the 53 bits that a double has room for.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
