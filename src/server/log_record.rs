//! What the access log says of one request and its response.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::clock::Instant;
use crate::http1::{Request, Status};
use crate::reactor::Peer;

/// One request and its response, from the first byte in to the last byte out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The request line, as it came; cut when it is very long.
    pub request_line: Box<[u8]>,
    /// The `Referer` field.
    pub referer: Option<Box<[u8]>>,
    /// The `User-Agent` field.
    pub user_agent: Option<Box<[u8]>>,
    /// The status of the response.
    pub status: Status,
    /// Bytes of the response's body that were sent.
    pub sent: u64,
    /// From the first byte of the request to the last byte of the response.
    pub duration: Duration,
}

impl LogRecord {
    /// The most bytes of [`LogRecord::request_line`] that are kept. One line, two fields and the rest of a log
    /// line fit into one atomic write to a pipe (`PIPE_BUF`, 4,096 bytes).
    pub const MAX_LINE: usize = 2200;
    /// The most bytes of a field that are kept.
    pub const MAX_FIELD: usize = 800;

    /// The record of a request, before it is answered.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let field = |name| request.fields.get(name).map(|value| cut(value, Self::MAX_FIELD));
        Self {
            request_line: cut(request.line, Self::MAX_LINE),
            referer: field("referer"),
            user_agent: field("user-agent"),
            ..Self::refused(b"")
        }
    }

    /// The record of a request that was not understood: the first line of `head`, whatever it is.
    pub(super) fn refused(head: &[u8]) -> Self {
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Self {
            request_line: cut(line.strip_suffix(b"\r").unwrap_or(line), Self::MAX_LINE),
            referer: None,
            user_agent: None,
            status: Status::OK,
            sent: 0,
            duration: Duration::ZERO,
        }
    }
}

/// Takes records: an access log, or a list of a test.
pub trait LogSink: fmt::Debug {
    /// Takes the record of a response that has left; `stamp` is the time as the combined log format shows it.
    fn record(&mut self, peer: Peer, stamp: &str, record: LogRecord);
}

impl LogSink for Vec<LogRecord> {
    fn record(&mut self, _: Peer, _: &str, record: LogRecord) {
        self.push(record);
    }
}

fn cut(bytes: &[u8], most: usize) -> Box<[u8]> {
    if bytes.len() <= most {
        return bytes.into();
    }
    [&bytes[..most], b"..."].concat().into()
}

/// The records of a connection whose responses are on their way, in order. Without any it is one word: every connection
/// has one.
#[derive(Debug, Default)]
#[allow(clippy::box_collection, reason = "one word of each idle connection, where the queue has four")]
pub(super) struct PendingRecords(Option<Box<VecDeque<PendingRecord>>>);

/// A record whose response is on its way.
#[derive(Debug)]
struct PendingRecord {
    record: LogRecord,
    begun: Instant,
    /// Where in the connection's output the body begins and ends.
    body: Range<u64>,
}

impl PendingRecords {
    /// Adds the record of a request whose first byte came at `begun`.
    pub(super) fn push(&mut self, record: LogRecord, status: Status, begun: Instant, body: Range<u64>) {
        let record = LogRecord { status, ..record };
        self.0.get_or_insert_default().push_back(PendingRecord { record, begun, body });
    }

    /// Takes the next record whose response is among the first `taken` bytes of the output; with `all`, also one that
    /// was cut short.
    pub(super) fn pop(&mut self, taken: u64, now: Instant, all: bool) -> Option<LogRecord> {
        let pending = self.0.as_mut()?;
        if !all && taken < pending.front()?.body.end {
            return None;
        }
        let PendingRecord { record, begun, body } = pending.pop_front()?;
        if pending.is_empty() {
            self.0 = None;
        }
        Some(LogRecord {
            sent: taken.min(body.end).saturating_sub(body.start),
            duration: now.saturating_duration_since(begun),
            ..record
        })
    }
}
