//! The destination of a worker's records: the access log, and counters.

use std::io;

use super::{LogRecord, LogSink};
use crate::http1::{Request, Status};
use crate::reactor::Peer;
use crate::recording::Recorder;
use crate::sys::orders::PassedFile;

/// A counter of responses.
pub trait ResponseCounter: std::fmt::Debug {
    /// Takes note of a response with `bytes` of its body, as far as it was sent.
    fn response(&mut self, status: Status, bytes: u64);

    /// Takes note of further lines of the access log that were lost.
    fn lost_lines(&mut self, _lines: u64) {}
}

impl ResponseCounter for Recorder {
    fn response(&mut self, status: Status, bytes: u64) {
        Self::response(self, status.code(), bytes);
    }
}

/// An access log with counters beside it. A worker with only one of both, or none, does not need it: its destination is
/// the log itself, so that counters which are off cost nothing.
#[derive(Debug)]
pub struct Ledger {
    log: Option<Box<dyn LogSink>>,
    counters: Vec<Box<dyn ResponseCounter>>,
    /// How many lost lines the counters know of.
    lost: u64,
}

impl Ledger {
    /// The destination of a worker with this log and these counters; `None` if there is neither.
    #[must_use]
    pub fn of(
        log: Option<Box<dyn LogSink>>,
        counters: Vec<Box<dyn ResponseCounter>>,
    ) -> Option<Box<dyn LogSink>> {
        match log {
            log if counters.is_empty() => log,
            log => Some(Box::new(Self { log, counters, lost: 0 })),
        }
    }
}

impl LogSink for Ledger {
    fn begin(
        &self,
        request: &Request<'_>,
        client: Peer,
        user: Option<&[u8]>,
        number: Option<u64>,
    ) -> LogRecord {
        self.log.as_ref().map_or_else(LogRecord::without_text, |log| log.begin(request, client, user, number))
    }

    fn begin_refused(&self, head: &[u8], client: Peer) -> LogRecord {
        self.log.as_ref().map_or_else(LogRecord::without_text, |log| log.begin_refused(head, client))
    }

    fn record(&mut self, peer: Peer, stamp: &str, record: LogRecord) {
        self.counters.iter_mut().for_each(|counter| counter.response(record.status, record.sent));
        if let Some(log) = &mut self.log {
            log.record(peer, stamp, record);
        }
    }

    fn wants_lines(&self) -> bool {
        self.log.is_some()
    }

    fn flush(&mut self) {
        let Some(log) = &mut self.log else {
            return;
        };
        log.flush();
        let lost = log.lost() - self.lost;
        if lost > 0 {
            self.lost += lost;
            self.counters.iter_mut().for_each(|counter| counter.lost_lines(lost));
        }
    }

    fn take_over(&mut self, handed: &PassedFile) -> io::Result<()> {
        self.log.as_mut().map_or(Ok(()), |log| log.take_over(handed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{AccessLog, LogTarget};
    use crate::sys::descriptor;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Counts {
        responses: Vec<(u16, u64)>,
        lost: u64,
    }

    #[derive(Debug, Default, Clone)]
    struct Seen(Rc<RefCell<Counts>>);

    impl ResponseCounter for Seen {
        fn response(&mut self, status: Status, bytes: u64) {
            self.0.borrow_mut().responses.push((status.code(), bytes));
        }

        fn lost_lines(&mut self, lines: u64) {
            self.0.borrow_mut().lost += lines;
        }
    }

    fn record() -> LogRecord {
        LogRecord { sent: 7, duration: Duration::ZERO, ..LogRecord::refused(b"GET / HTTP/1.1") }
    }

    #[test]
    fn counters_without_a_log_want_no_lines() {
        let seen = Seen::default();
        let mut ledger = Ledger::of(None, vec![Box::new(seen.clone())]).expect("a destination");
        assert!(!ledger.wants_lines());
        ledger.record(Peer::Unix, "now", record());
        ledger.flush();
        assert_eq!(*seen.0.borrow(), Counts { responses: vec![(200, 7)], lost: 0 });
        assert!(Ledger::of(None, Vec::new()).is_none());
    }

    /// A full pipe: each record is a line, or counted as a lost one.
    #[test]
    fn lost_lines_are_told_once() {
        let (read, to) = descriptor::pipe().expect("a pipe");
        let seen = Seen::default();
        let log = AccessLog::new(LogTarget::from(to));
        let mut ledger =
            Ledger::of(Some(Box::new(log)), vec![Box::new(seen.clone())]).expect("a destination");
        for _ in 0..10_000 {
            ledger.record(Peer::Unix, "now", record());
            ledger.flush();
        }
        drop(ledger);
        let text = std::io::read_to_string(std::fs::File::from(read)).expect("text");
        let Counts { responses, lost } = &*seen.0.borrow();
        assert_eq!((responses.len(), text.lines().count() as u64 + lost), (10_000, 10_000));
        assert!(*lost > 0);
    }
}
