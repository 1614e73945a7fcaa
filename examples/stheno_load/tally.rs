//! The counts of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use stheno::clock::Instant;

/// The two moments from which a response time is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    /// When the request should have been sent.
    pub(crate) due: Instant,
    /// When it was sent.
    pub(crate) sent: Instant,
}

/// The outcome of one thread, or of all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Microseconds since a request was due, with three digits.
    pub(crate) from_due: Times,
    /// The same since it was sent.
    pub(crate) from_sent: Times,
    /// How often each failure occurred.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Requests without a response so far.
    pub(crate) waiting: u64,
    pub(crate) lines: Option<Lines>,
    /// Lines that have yet to be written.
    pub(crate) text: String,
}

/// A histogram that grows as needed.
#[derive(Debug)]
pub(crate) struct Times(pub(crate) Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let mut histogram = Histogram::new_with_bounds(1, 1000, 3).expect("1 to 1000 are bounds");
        histogram.auto(true);
        Self(histogram)
    }
}

impl Times {
    fn note(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        // The histogram grows, so this fails only when memory does.
        let _ = self.0.record(micros);
    }

    /// The time within which this share of the requests was served.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }
}

impl Tally {
    /// Counts a response. `counts`: the warm-up is over.
    pub(crate) fn answered(&mut self, moments: Moments, now: Instant, counts: bool) {
        let time = now.saturating_duration_since(moments.due);
        self.line(time, "", moments);
        if counts {
            self.from_due.note(time);
            self.from_sent.note(now.saturating_duration_since(moments.sent));
        }
    }

    /// Counts a request that failed.
    pub(crate) fn failed(&mut self, moments: Moments, now: Instant, why: &str, counts: bool) {
        self.line(now.saturating_duration_since(moments.due), why, moments);
        if counts {
            *self.failures.entry(why.to_owned()).or_default() += 1;
        }
    }

    fn line(&mut self, time: Duration, failure: &str, moments: Moments) {
        if self.lines.is_some() {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let failure = failure.replace([',', '"', '\n'], " ");
            let milliseconds = time.as_secs_f64() * 1000.0;
            let late = moments.sent.saturating_duration_since(moments.due).as_secs_f64() * 1000.0;
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{wall:.4},{milliseconds:.3},{failure},{late:.3}");
        }
    }

    /// Writes out the lines since the last call.
    pub(crate) fn flush(&mut self) {
        if let Some(lines) = &self.lines {
            lines.write(&self.text);
            self.text.clear();
        }
    }

    /// The sum of both.
    pub(crate) fn and(mut self, other: Self) -> io::Result<Self> {
        self.from_due.0.add(&other.from_due.0).map_err(io::Error::other)?;
        self.from_sent.0.add(&other.from_sent.0).map_err(io::Error::other)?;
        for (why, count) in other.failures {
            *self.failures.entry(why).or_default() += count;
        }
        self.waiting += other.waiting;
        Ok(self)
    }
}

/// The file with a line per request, which all threads write to.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Arc<Mutex<BufWriter<File>>>);

impl Lines {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let lines = Self(Arc::new(Mutex::new(BufWriter::new(file))));
        lines.write("ended,milliseconds,failure,late\n");
        Ok(lines)
    }

    /// Writes whole lines, because the file may be read while it grows. A full disk loses lines and does not
    /// end the run.
    fn write(&self, text: &str) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = file.write_all(text.as_bytes()).and_then(|()| file.flush());
    }
}
