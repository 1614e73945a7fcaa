//! What an access log wants to know of one request and its answer.

use std::time::Duration;

use super::head::Request;
use super::status::Status;
use super::target::Target;
use crate::clock::Instant;

/// The most that is kept of a request line, and of a field. One line and two fields and the rest of a log
/// line fit into one atomic write to a pipe (`PIPE_BUF`, 4,096 bytes).
const LINE: usize = Exchange::MAX_LINE;
const FIELD: usize = Exchange::MAX_FIELD;

/// One request and its answer, from the first byte in to the last byte out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request line, as it came; cut when it is very long.
    pub request_line: Box<[u8]>,
    /// The `Referer` field.
    pub referer: Option<Box<[u8]>>,
    /// The `User-Agent` field.
    pub user_agent: Option<Box<[u8]>>,
    /// The status of the answer.
    pub status: Status,
    /// Bytes of the answer's body that were sent.
    pub sent: u64,
    /// From the first byte of the request to the last byte of the answer.
    pub duration: Duration,
}

/// An [`Exchange`] whose answer is on its way.
#[derive(Debug)]
pub(super) struct Pending {
    exchange: Exchange,
    started: Instant,
    /// Where in the connection's output the body begins and ends.
    body: std::ops::Range<u64>,
}

impl Exchange {
    /// The most bytes of [`Exchange::request_line`] that are worth showing.
    pub const MAX_LINE: usize = 2200;
    /// The most bytes of a field that are worth showing.
    pub const MAX_FIELD: usize = 800;

    pub(super) fn of(request: &Request<'_>) -> Self {
        let field = |name| request.fields.get(name).map(|value| cut(value, FIELD));
        Self {
            request_line: cut(request.line, LINE),
            referer: field("referer"),
            user_agent: field("user-agent"),
            ..Self::refused(b"")
        }
    }

    /// Of a request that was not understood: its first line, whatever it is.
    pub(super) fn refused(head: &[u8]) -> Self {
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Self {
            request_line: cut(line.strip_suffix(b"\r").unwrap_or(line), LINE),
            referer: None,
            user_agent: None,
            status: Status::OK,
            sent: 0,
            duration: Duration::ZERO,
        }
    }

    pub(super) fn answered(
        mut self,
        status: Status,
        started: Instant,
        body: std::ops::Range<u64>,
    ) -> Pending {
        self.status = status;
        Pending { exchange: self, started, body }
    }
}

impl Pending {
    /// Whether the whole answer is among the first `taken` bytes of the output.
    pub(super) fn is_finished(&self, taken: u64) -> bool {
        taken >= self.body.end
    }

    /// What is known of it when `taken` bytes of the output have left.
    pub(super) fn finish(self, taken: u64, now: Instant) -> Exchange {
        Exchange {
            sent: taken.min(self.body.end).saturating_sub(self.body.start),
            duration: now.saturating_duration_since(self.started),
            ..self.exchange
        }
    }
}

fn cut(bytes: &[u8], most: usize) -> Box<[u8]> {
    if bytes.len() <= most {
        return bytes.into();
    }
    [&bytes[..most], b"..."].concat().into()
}

impl Request<'_> {
    /// The path of the target, if it has one: for logs.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        match self.target {
            Target::Path { path, .. } => Some(path),
            Target::Authority | Target::Asterisk => None,
        }
    }
}
