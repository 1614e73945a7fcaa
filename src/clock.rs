//! Time as a value: asked of the system once per turn, then handed down.
//!
//! Nothing below the reactor asks for the time, so protocol tests choose it, and the two strings that show
//! it (the `Date` field and the access log's stamp) are made once per second instead of once per answer.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and durations: never goes back.
    pub monotonic: Instant,
    /// For dates.
    pub wall: SystemTime,
}

impl Now {
    /// Asks the system: the one place that does. For the owner of the loop; everyone else is handed the value.
    #[must_use]
    pub fn ask() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// The same moment, `duration` later: for tests.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self { monotonic: self.monotonic + duration, wall: self.wall + duration }
    }
}

/// The strings that change once per second.
#[derive(Debug)]
pub struct DateCache {
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
    /// An empty cache, filled at the first question.
    #[must_use]
    pub fn new() -> Self {
        Self { second: None, http: String::new(), log: String::new() }
    }

    /// `Mon, 23 Nov 2026 08:30:00 GMT` (IMF-fixdate, RFC 9110 §5.6.7): the seed's `date_time_string`.
    pub fn http(&mut self, wall: SystemTime) -> &str {
        self.refresh(wall);
        &self.http
    }

    /// `23/Nov/2026:08:30:00 +0000`: the stamp of the combined log format, in UTC.
    pub fn log(&mut self, wall: SystemTime) -> &str {
        self.refresh(wall);
        &self.log
    }

    fn refresh(&mut self, wall: SystemTime) {
        let second = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        self.http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        let (date, time) = (&self.http[5..16], &self.http[17..25]);
        self.log.clear();
        let (day, month, year) = (&date[..2], &date[3..6], &date[7..]);
        let _ = write!(self.log, "{day}/{month}/{year}:{time} +0000");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_strings_show_the_same_second() {
        let mut dates = DateCache::new();
        let second = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(dates.http(second), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(dates.log(second), "06/Nov/1994:08:49:37 +0000");
        let next = second + Duration::from_millis(1_999);
        assert_eq!(dates.log(next), "06/Nov/1994:08:49:38 +0000");
    }
}
