//! The limits of a connection, each with the reason for its number.

use std::num::NonZeroU64;
use std::time::Duration;

/// How large the parts of a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request target. RFC 9112 §3 recommends to take lines of 8,000.
    pub target: usize,
    /// Bytes of one field line. 8 KiB is what nginx, Apache and gunicorn take.
    pub field_line: usize,
    /// Bytes of the whole head: nginx's four buffers of 8 KiB.
    pub head: usize,
    /// Field lines of one head; at most [`super::MAX_FIELDS`]. What Apache, h2o and hyper take.
    pub fields: usize,
    /// Bytes of a body, where bodies are taken. nginx's 1 MiB.
    pub body: u64,
    /// Bytes of an unwanted body that are read so that the connection can live on. More costs more than a
    /// new connection does.
    pub drained_body: u64,
    /// Bytes that are read and thrown away after the last answer. What is in flight of an ordinary client
    /// fits; an upload of any size is cut off.
    pub lingering: u64,
    /// Requests that one connection is answered; `None` for any number. A limit only moves the cost of a
    /// connection to the next one, and each close loses a request now and then, so there is none by default.
    pub requests: Option<NonZeroU64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            target: 8192,
            field_line: 8192,
            head: 32 * 1024,
            fields: 100,
            body: 1024 * 1024,
            drained_body: 64 * 1024,
            lingering: 1024 * 1024,
            requests: None,
        }
    }
}

/// How long each state may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A whole head, from its first byte (or from the connection, for the first one): total, because a
    /// limit between two reads can be stretched without end, a byte at a time.
    pub head: Duration,
    /// An idle connection between requests.
    pub keep_alive: Duration,
    /// Between two reads of a body.
    pub body_idle: Duration,
    /// The time a body may take at the least; after it, `body_rate` must be kept on average.
    pub body_grace: Duration,
    /// Bytes per second of a body, on average.
    pub body_rate: u64,
    /// Between two writes that the client takes.
    pub write_idle: Duration,
    /// The time an answer may take at the least; after it, `write_rate` must be kept.
    pub write_grace: Duration,
    /// Bytes per second of an answer, on average.
    pub write_rate: u64,
    /// An idle connection of a server that is shutting down: long enough for a request that was already
    /// on its way.
    pub drain_quiet: Duration,
    /// Lingering: between two reads.
    pub linger_idle: Duration,
    /// Lingering: in all.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // h2o's figure; nginx's 60 s gives a slow-header attack six times as many connections.
            head: Duration::from_secs(10),
            // Long enough for a reader to click on; short enough that idle ones do not pile up.
            keep_alive: Duration::from_secs(15),
            body_idle: Duration::from_secs(10),
            body_grace: Duration::from_secs(20),
            // Apache's figure; a modem is faster.
            body_rate: 500,
            write_idle: Duration::from_secs(30),
            write_grace: Duration::from_secs(60),
            // A reader of one byte now and then is no reader.
            write_rate: 1024,
            drain_quiet: Duration::from_secs(1),
            linger_idle: Duration::from_secs(2),
            linger: Duration::from_secs(10),
        }
    }
}

/// What all connections of a server have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The sizes.
    pub limits: Limits,
    /// The times.
    pub timeouts: Timeouts,
    /// The value of the `Server` field.
    pub server: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: Limits::default(), timeouts: Timeouts::default(), server: Self::server(true).into() }
    }
}

impl Settings {
    /// The value of the `Server` field, with or without the version: a version tells an attacker which holes
    /// to try, and an operator which one he runs.
    #[must_use]
    pub const fn server(with_version: bool) -> &'static str {
        if with_version { concat!("stheno/", env!("CARGO_PKG_VERSION")) } else { "stheno" }
    }
}
