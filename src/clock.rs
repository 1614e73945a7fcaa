//! Time as a value: read from the system once per turn, then passed down.
//!
//! Nothing below the reactor reads the clock, except a recorder. So protocol tests choose the time, and the two strings that
//! show it (the `Date` field and the time in the access log) are made once per second instead of once per response.

use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sys::clocks;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A time on the clock that never goes back, in nanoseconds since a moment that all processes of the machine share.
///
/// As [`std::time::Instant`], but 8 bytes instead of 16: a connection holds five of them, a timer two, and each deadline
/// is a sum. It lasts for 584 years; sums saturate there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// Reads the clock.
    #[must_use]
    pub fn now() -> Self {
        Self::of(clocks::monotonic())
    }

    fn of(nanos: u64) -> Self {
        Self(NonZeroU64::new(nanos).unwrap_or(NonZeroU64::MIN))
    }

    /// The time from `earlier` to this; zero if `earlier` is later.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// Whole milliseconds from `earlier` to this; zero if `earlier` is later.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get()) / 1_000_000
    }

    /// The time from this until now; reads the clock.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_duration_since(self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self::of(self.0.get().saturating_add(to_nanos(duration)))
    }
}

fn to_nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(NANOS_PER_SECOND);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

impl Sub for Instant {
    type Output = Duration;

    /// As [`Instant::saturating_duration_since`].
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// One point in time, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and durations. It never goes back.
    pub monotonic: Instant,
    /// For dates.
    pub wall: SystemTime,
}

impl Now {
    /// Reads both clocks. Only the owner of the loop calls it; all other code gets the value.
    #[must_use]
    pub fn ask() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// Returns the time `duration` later, for tests.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self { monotonic: self.monotonic + duration, wall: self.wall + duration }
    }
}

/// The two strings that show the time, each made once per second.
#[derive(Debug)]
pub struct DateCache {
    /// The time of the last call: mostly the same, because all calls in one turn have one time.
    asked: Option<SystemTime>,
    second: Option<u64>,
    http: String,
    log: String,
}

impl Default for DateCache {
    fn default() -> Self {
        Self::new()
    }
}

impl DateCache {
    /// Returns an empty cache, which the first call fills.
    #[must_use]
    pub fn new() -> Self {
        Self { asked: None, second: None, http: String::new(), log: String::new() }
    }

    /// `Mon, 23 Nov 2026 08:30:00 GMT` (IMF-fixdate, RFC 9110 §5.6.7): the seed's `date_time_string`.
    pub fn http(&mut self, wall: SystemTime) -> &str {
        self.refresh(wall);
        &self.http
    }

    /// `23/Nov/2026:08:30:00 +0000`: the time of the combined log format, in UTC.
    pub fn log(&mut self, wall: SystemTime) -> &str {
        self.refresh(wall);
        &self.log
    }

    fn refresh(&mut self, wall: SystemTime) {
        if self.asked != Some(wall) {
            self.asked = Some(wall);
            self.write(wall);
        }
    }

    fn write(&mut self, wall: SystemTime) {
        let second = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        self.http.clear();
        // Writing into a String cannot fail.
        let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
        let _ = write!(self.http, "{date}");
        let (date, time) = (&self.http[5..16], &self.http[17..25]);
        self.log.clear();
        let (day, month, year) = (&date[..2], &date[3..6], &date[7..]);
        let _ = write!(self.log, "{day}/{month}/{year}:{time} +0000");
    }
}

/// Appends a time of [`DateCache::log`] as `2026-11-23`, `between` and `08:30:00`.
pub fn push_iso(out: &mut Vec<u8>, stamp: &str, between: &str) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let part = |range| stamp.get(range).unwrap_or_default();
    let month = MONTHS.iter().position(|month| *month == part(3..6)).unwrap_or(0) + 1;
    let (year, day, time) = (part(7..11), part(0..2), part(12..20));
    write!(out, "{year}-{month:02}-{day}{between}{time}").expect("writing into a Vec cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        let now = Instant::now();
        let later = now + Duration::from_millis(1500);
        assert_eq!(later - now, Duration::from_millis(1500));
        assert_eq!(now - later, Duration::ZERO);
        assert!(now + Duration::MAX > later && now + Duration::MAX == later + Duration::MAX);
        assert!(Instant::now() >= now);
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }

    #[test]
    fn both_strings_show_the_same_second() {
        let mut dates = DateCache::new();
        let second = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(dates.http(second), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(dates.log(second), "06/Nov/1994:08:49:37 +0000");
        let mut iso = Vec::new();
        push_iso(&mut iso, dates.log(second), "T");
        assert_eq!(iso, b"1994-11-06T08:49:37");
        let next = second + Duration::from_millis(1_999);
        assert_eq!(dates.log(next), "06/Nov/1994:08:49:38 +0000");
    }
}
