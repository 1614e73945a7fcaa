//! The limits of a connection, each with the reason for its number.

use std::num::NonZeroU64;
use std::time::Duration;

/// The sizes that a connection accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request target. RFC 9112 §3 recommends to accept request lines of 8,000 bytes.
    pub target: usize,
    /// Bytes of one field line. nginx, Apache and gunicorn accept 8 KiB.
    pub field_line: usize,
    /// Bytes of the whole head: nginx's four buffers of 8 KiB.
    pub head: usize,
    /// Field lines of one head; at most [`super::MAX_FIELDS`]. Apache, h2o and hyper accept 100.
    pub fields: usize,
    /// Bytes of a body that an application takes: nginx's 1 MiB.
    pub body: u64,
    /// Bytes of an unwanted body that are read so that the connection can persist. Above 64 KiB that costs more than a
    /// new connection.
    pub drained_body: u64,
    /// Bytes that are read and discarded after the last response. The data in flight of an ordinary client fits; an
    /// upload is cut off.
    pub lingering: u64,
    /// Requests of one connection; `None` for any number. A limit only moves the cost of a connection to the next one,
    /// and each close loses a request now and then, so the default has no limit.
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

/// The times that the states of a connection may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A whole head, from its first byte; the first head from the accept. The time is total, because a limit between two
    /// reads can be stretched without end, a byte at a time.
    pub head: Duration,
    /// An idle connection between two requests.
    pub keep_alive: Duration,
    /// The pause between two reads of a body.
    pub body_idle: Duration,
    /// A body at any rate; after this time `body_rate` counts.
    pub body_grace: Duration,
    /// The lowest average rate of a body, in bytes per second.
    pub body_rate: u64,
    /// The time in which the client acknowledges none of a response.
    pub write_idle: Duration,
    /// A response at any rate; after this time `write_rate` counts.
    pub write_grace: Duration,
    /// The lowest average rate at which the client acknowledges a response, in bytes per second.
    pub write_rate: u64,
    /// An idle connection of a server that shuts down: long enough for a request that is on its way.
    pub drain_quiet: Duration,
    /// The pause between two reads of a lingering connection.
    pub linger_idle: Duration,
    /// A lingering connection, in all.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // h2o's figure; nginx's 60 s gives a slow-header attack six times as many connections.
            head: Duration::from_secs(10),
            // Long enough for a user to follow a link, short enough to keep the number of idle connections low.
            keep_alive: Duration::from_secs(15),
            body_idle: Duration::from_secs(10),
            body_grace: Duration::from_secs(20),
            // Apache's figure; every modem is faster.
            body_rate: 500,
            // nginx's figure: a video that is paused for half a minute is not cut.
            write_idle: Duration::from_secs(60),
            write_grace: Duration::from_secs(120),
            // A client that reads a byte now and then only holds memory.
            write_rate: 1024,
            drain_quiet: Duration::from_secs(1),
            linger_idle: Duration::from_secs(2),
            linger: Duration::from_secs(10),
        }
    }
}

impl Timeouts {
    /// How many times a silent client is looked at in [`Timeouts::write_idle`]. Its silence counts from a look, not from
    /// its last acknowledgement, whose time is not known.
    const LOOKS: u32 = 4;

    /// The time between two looks at a client that is silent.
    #[must_use]
    pub fn until_look(&self) -> Duration {
        self.write_idle / Self::LOOKS
    }

    /// The longest time in which a client acknowledges nothing before its connection is reset.
    #[must_use]
    pub fn longest_silence(&self) -> Duration {
        self.write_idle + self.until_look()
    }
}

/// The configuration that all connections of a server share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The sizes that are accepted.
    pub limits: Limits,
    /// The times that the states may last.
    pub timeouts: Timeouts,
    /// The value of the `Server` field (RFC 9110 §10.2.4).
    pub server: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: Limits::default(), timeouts: Timeouts::default(), server: Self::server(true).into() }
    }
}

impl Settings {
    /// Returns the value of the `Server` field, with or without the version. The version tells an attacker which holes to
    /// try, and an operator which version runs.
    #[must_use]
    pub const fn server(with_version: bool) -> &'static str {
        if with_version { concat!("stheno/", env!("CARGO_PKG_VERSION")) } else { "stheno" }
    }
}
