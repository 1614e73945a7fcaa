//! The time-outs of a connection, and what a slow peer has acknowledged.
//!
//! The kernel takes up to 4 MiB of a response at once, and then nothing until there is room again: for a peer that reads
//! 10 kB/s these are minutes. So the limits of the write time-out and the write rate are those of the *peer*: before one of
//! them ends a connection, the driver asks the transport how many bytes are not acknowledged ([`Connection::look`]). A
//! connection whose peer is quick is never looked at.

use std::time::Duration;

use super::sight::Sight;
use super::{AfterWrite, Connection, Flight, Reader, Writer};
use crate::clock::{Instant, Now};
use crate::http1::error::Error;
use crate::http1::settings::Timeouts;

/// The end of the stream counts as a byte that is not acknowledged (SIOCOUTQ in tcp(7)).
const END: u64 = 1;

impl Connection {
    /// Returns when [`Connection::expire`] has to be called, after [`Connection::look`], if nothing happens before.
    #[must_use]
    pub fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        match (&self.writer, &self.reader) {
            (Writer::Closed { .. }, _) => None,
            (Writer::Lingering { since, .. }, _) => {
                Some((*since + timeouts.linger).min(self.progress + timeouts.linger_idle))
            }
            _ if self.wants_write() => {
                let seen = self.sight.as_ref().map_or(self.progress, |sight| sight.at.max(self.progress));
                Some(self.write_limit(timeouts).min(seen + timeouts.until_look()))
            }
            // An application may take any time for its response.
            (_, Reader::Done(_)) => None,
            (_, Reader::Idle { since, .. }) if self.draining => Some(*since + timeouts.drain_quiet),
            (_, Reader::Idle { since, .. }) if self.responses > 0 => Some(*since + timeouts.keep_alive),
            (_, Reader::Idle { since, .. } | Reader::Head { since, .. }) => Some(*since + timeouts.head),
            (_, Reader::Body(body)) => {
                let slowest =
                    slowest(body.since + timeouts.body_grace, body.reader.content(), timeouts.body_rate);
                Some(slowest.min(self.progress + timeouts.body_idle))
            }
        }
    }

    /// Returns when the peer has taken too little of the output, as far as is known.
    fn write_limit(&self, timeouts: &Timeouts) -> Instant {
        let (moved, taken) = match &self.sight {
            Some(sight) => (sight.moved.max(self.progress), sight.acknowledged),
            None => (self.progress, self.output.taken()),
        };
        self.rate_limit(taken, timeouts).min(moved + timeouts.write_idle)
    }

    fn rate_limit(&self, taken: u64, timeouts: &Timeouts) -> Instant {
        let bytes = taken.saturating_sub(self.flight.from);
        slowest(self.flight.since + timeouts.write_grace, bytes, timeouts.write_rate)
    }

    /// Whether [`Connection::look`] has to be called before [`Connection::expire`]: the time of a state is over in which the
    /// peer may not have taken all of the output.
    #[must_use]
    pub fn wants_look(&self, now: Now, timeouts: &Timeouts) -> bool {
        let may_be_owed = self.wants_write() || (self.is_lingering() || self.is_idle()) && !self.draining;
        may_be_owed && self.is_due(now, timeouts)
    }

    fn is_due(&self, now: Now, timeouts: &Timeouts) -> bool {
        self.deadline(timeouts).is_some_and(|deadline| deadline <= now.monotonic)
    }

    /// Takes note of how many bytes the transport has taken and the peer has not acknowledged; `None`: that is not known, and
    /// what the transport takes counts as taken by the peer.
    ///
    /// While the peer takes the rest of a response, the connection is neither idle nor lingering: the times of these states
    /// begin when all is acknowledged. A close before that would be a reset if the peer sent another byte, and the rest
    /// would be lost.
    pub fn look(&mut self, unacknowledged: Option<u64>, now: Now, timeouts: &Timeouts) {
        let was_behind = self.is_behind();
        self.note_acknowledged(unacknowledged, now.monotonic);
        let is_behind = self.is_behind();
        if !was_behind && !is_behind || self.wants_write() {
            return;
        }
        let is_late = self.sight.as_ref().is_some_and(|sight| {
            let limit = self.rate_limit(sight.acknowledged, timeouts).min(sight.moved + timeouts.write_idle);
            limit <= now.monotonic
        });
        if is_behind && is_late {
            self.writer = Writer::Closed { reset: true };
            return;
        }
        // The next look: the deadline is a while after these moments.
        let pause = if is_behind { timeouts.until_look() } else { Duration::ZERO };
        let shifted = |time: Duration| now.monotonic + pause.saturating_sub(time);
        match (&mut self.writer, &mut self.reader) {
            (Writer::Lingering { since, .. }, _) => {
                *since = shifted(timeouts.linger);
                self.progress = shifted(timeouts.linger_idle);
            }
            (_, Reader::Idle { since, .. }) => *since = shifted(timeouts.keep_alive),
            _ => {}
        }
    }

    /// Whether the peer had not acknowledged all of the output when it was looked at last.
    fn is_behind(&self) -> bool {
        self.sight.as_ref().is_some_and(|sight| sight.acknowledged + END < self.output.taken())
    }

    fn note_acknowledged(&mut self, unacknowledged: Option<u64>, now: Instant) {
        let acknowledged = self.output.taken().saturating_sub(unacknowledged.unwrap_or(0));
        let moved = match &self.sight {
            _ if unacknowledged.is_none() => self.progress,
            // On a Unix socket the kernel counts its own overhead, too: after a write there may seem to be less.
            Some(sight) if acknowledged <= sight.acknowledged => sight.moved,
            _ => now,
        };
        if acknowledged < self.flight.from {
            // The kernel still holds output of before the flight: the rate counts from here.
            self.flight = Flight { since: now, from: acknowledged };
        }
        self.sight = Some(Box::new(Sight { at: now, acknowledged, moved }));
    }

    /// Ends a state whose deadline has passed; before the deadline it does nothing.
    ///
    /// Returns the error to refuse a request that has begun with, so that the client learns why the connection ends.
    #[must_use = "a request that is late is refused"]
    pub fn expire(&mut self, now: Now, timeouts: &Timeouts) -> Option<Error> {
        if !self.is_due(now, timeouts) {
            return None;
        }
        if self.wants_write() && !self.is_lingering() {
            if self.write_limit(timeouts) <= now.monotonic {
                self.writer = Writer::Closed { reset: true };
            }
            return None;
        }
        match (&self.writer, &self.reader) {
            (Writer::Idle, Reader::Head { .. } | Reader::Body(_)) => return Some(Error::Timeout),
            // A request may be crossing the close: a lingering close reads it, where a close would be a reset.
            (Writer::Idle, Reader::Idle { .. }) if self.draining => {
                self.writer = Writer::Sending(AfterWrite::Linger);
            }
            _ => self.writer = Writer::Closed { reset: false },
        }
        None
    }
}

/// Returns when a transfer is below `rate` bytes a second that has had time until `free`, and has moved `bytes`.
fn slowest(free: Instant, bytes: u64, rate: u64) -> Instant {
    free + Duration::from_secs(bytes / rate.max(1))
}
