//! The record of one request and its response, for the access log.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::time::Duration;

use crate::clock::Instant;
use crate::http1::{Request, Status};
use crate::reactor::{FRAMES_PER_TURN, Peer};
use crate::sys::orders::PassedFile;

/// The facts of one request and its response that are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The request line, or the first [`LogRecord::MAX_LINE`] bytes of it.
    pub request_line: Box<[u8]>,
    /// The `Referer` field, or the first [`LogRecord::MAX_FIELD`] bytes of it.
    pub referer: Option<Box<[u8]>>,
    /// The `User-Agent` field, or the first [`LogRecord::MAX_FIELD`] bytes of it.
    pub user_agent: Option<Box<[u8]>>,
    /// The status of the response; 499 if the client left before it began.
    pub status: Status,
    /// The number of bytes of the response's body that were sent.
    pub sent: u64,
    /// The time from the first byte of the request to the last byte of the response.
    pub duration: Duration,
    /// The field lines of the response, or the first [`LogRecord::MAX_FIELDS`] bytes of them, for a log that asks for
    /// them: empty before the response, `None` for other logs.
    pub fields: Option<Box<[u8]>>,
}

impl LogRecord {
    /// The most bytes of the request line that are kept. This line, two fields and the rest of a log line fit into one
    /// atomic write to a pipe (`PIPE_BUF`, 4,096 bytes).
    pub const MAX_LINE: usize = 2200;
    /// The most bytes of a field that are kept.
    pub const MAX_FIELD: usize = 800;
    /// The most bytes of the response's field lines that are kept.
    pub const MAX_FIELDS: usize = 16 * 1024;

    /// The record of a request, before its response.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let field = |name| request.fields.get(name).map(|value| cut(value, Self::MAX_FIELD));
        Self {
            request_line: cut(request.line, Self::MAX_LINE),
            referer: field("referer"),
            user_agent: field("user-agent"),
            ..Self::refused(b"")
        }
    }

    /// The record of a request without its text, for a destination that wants no lines.
    pub(super) fn without_text() -> Self {
        Self {
            request_line: Box::default(),
            referer: None,
            user_agent: None,
            status: Status::OK,
            sent: 0,
            duration: Duration::ZERO,
            fields: None,
        }
    }

    /// The record of a malformed request: the first line of `head`, even if it is no request line.
    pub(super) fn refused(head: &[u8]) -> Self {
        Self { request_line: cut(first_line(head), Self::MAX_LINE), ..Self::without_text() }
    }

    /// Keeps the field lines of the response, in parts, if the log asks for them.
    pub(super) fn keep_fields<'a>(&mut self, parts: impl FnOnce() -> [&'a [u8]; 2]) {
        if let Some(fields) = &mut self.fields {
            let mut lines = parts().concat();
            lines.truncate(Self::MAX_FIELDS);
            *fields = lines.into();
        }
    }

    /// Returns the value of the response's first field with this name.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.fields.as_deref()?.split(|byte| *byte == b'\n');
        lines.find_map(|line| {
            let (this, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b":").filter(|_| this.eq_ignore_ascii_case(name.as_bytes()));
            value.map(<[u8]>::trim_ascii)
        })
    }
}

/// A destination of records: an access log, or the list of a test.
pub trait LogSink: fmt::Debug {
    /// The record of a request from `client`, before its response; `user` is the name of an authenticated user, and
    /// `number` that of the request if the service counts them.
    fn begin(
        &self,
        request: &Request<'_>,
        _client: Peer,
        _user: Option<&[u8]>,
        _number: Option<u64>,
    ) -> LogRecord {
        LogRecord::of(request)
    }

    /// The record of a malformed request: `head` is what came of it.
    fn begin_refused(&self, head: &[u8], _client: Peer) -> LogRecord {
        LogRecord::refused(head)
    }

    /// Takes the record of a response that has left; `stamp` is the time in the combined log format.
    fn record(&mut self, peer: Peer, stamp: &str, record: LogRecord);

    /// Whether the text of requests is needed. Without it only status, bytes and duration of a record are valid.
    fn wants_lines(&self) -> bool {
        true
    }

    /// Writes what was gathered; called once per turn.
    fn flush(&mut self) {}

    /// Returns the number of lines that were lost.
    fn lost(&self) -> u64 {
        0
    }

    /// Goes on in `handed` if that is the target of this log, reopened.
    ///
    /// # Errors
    /// When that is not possible; nothing has changed then.
    fn take_over(&mut self, _handed: &PassedFile) -> io::Result<()> {
        Ok(())
    }
}

impl LogSink for Vec<LogRecord> {
    fn record(&mut self, _: Peer, _: &str, record: LogRecord) {
        self.push(record);
    }
}

/// The first line of a head, even if it is no request line.
pub(super) fn first_line(head: &[u8]) -> &[u8] {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn cut(bytes: &[u8], most: usize) -> Box<[u8]> {
    if bytes.len() <= most {
        return bytes.into();
    }
    [&bytes[..most], b"..."].concat().into()
}

/// The records of responses that have not left yet, in order. An empty queue is one word, because every connection has
/// one; a record alone is one allocation.
#[derive(Debug, Default)]
pub(super) struct PendingRecords(Option<Box<(PendingRecord, VecDeque<PendingRecord>)>>);

/// A record whose response has not left yet.
#[derive(Debug)]
struct PendingRecord {
    record: LogRecord,
    begun: Instant,
    /// The position of the body in the connection's output.
    body: Range<u64>,
}

impl PendingRecords {
    /// Adds the record of a request whose first byte came at `begun`.
    pub(super) fn push(&mut self, record: LogRecord, status: Status, begun: Instant, body: Range<u64>) {
        let record = PendingRecord { record: LogRecord { status, ..record }, begun, body };
        match &mut self.0 {
            Some(pending) => {
                if pending.1.capacity() == 0 {
                    // Pipelined requests come by the turn: room for all of one at once.
                    pending.1.reserve_exact(FRAMES_PER_TURN as usize - 1);
                }
                pending.1.push_back(record);
            }
            none => *none = Some(Box::new((record, VecDeque::new()))),
        }
    }

    /// Takes the next record whose response is in the first `taken` bytes of the output; with `all`, also one that is
    /// cut short.
    pub(super) fn pop(&mut self, taken: u64, now: Instant, all: bool) -> Option<LogRecord> {
        let (first, rest) = self.0.as_deref_mut()?;
        if !all && taken < first.body.end {
            return None;
        }
        let next = rest.pop_front();
        let PendingRecord { record, begun, body } = match next {
            Some(next) => std::mem::replace(first, next),
            None => self.0.take()?.0,
        };
        Some(LogRecord {
            sent: taken.min(body.end).saturating_sub(body.start),
            duration: now.saturating_duration_since(begun),
            ..record
        })
    }
}
