//! One connection: a state machine that is given bytes and the time, and that a driver asks for events.
//!
//! ```text
//! bytes ──► open ──► next_event* ──► store
//!                        │
//!                        ├─ NeedData        read more
//!                        ├─ Head            parse it, call the service, accept (or refuse)
//!                        ├─ Data            hand content of the body to the application
//!                        ├─ End             the request is whole: respond
//!                        ├─ Refuse          refuse
//!                        └─ Paused          make the response, or send it, before more is parsed
//! ```
//!
//! Each direction has a state of its own:
//!
//! ```text
//! Reader:  Idle ──► Head ──► Body ──► Done ──► (the response has left) Idle
//! Writer:  Idle ──► (Waiting) ──► Sending ──► Idle, or Lingering ──► Closed
//! ```
//!
//! * `Idle` waits for the first byte of a request, and holds no buffer for it.
//! * `Head` waits for CR LF CR LF. A head that cannot become a request is refused as soon as that is certain, with the
//!   same error at any cut of the input.
//! * `Body` waits for the end of a body. A body that no application takes is read and discarded, so that the connection
//!   can persist. If it is too large for that, the response leaves at once and the connection closes after it.
//! * `Done` waits for the response to leave. While the output holds anything, no input is read: this one rule bounds the
//!   memory of a connection and keeps pipelined responses in order. Requests that came in the same read are handled
//!   together, up to the turn's budget or the high-water mark.
//! * `Waiting` waits for an application to make the response, whose first pieces may have left already.
//! * `Sending` waits for the peer to take the response.
//! * `Lingering` has shut down the sending half, and discards input. A close with unread input would reset the
//!   connection, and the peer would lose the last response.
//! * `Closed` is the end.

mod reading;
mod sight;
mod times;
mod writing;

use super::body::BodyReader;
use super::error::Error;
use super::head::Head;
use super::scan::HeadScan;
use super::settings::Settings;
use crate::chat::{InBuffer, OutQueue, Window};
use crate::clock::{DateCache, Instant, Now};
use sight::Sight;

/// Bytes that leave a new connection before the first acknowledgement: ten segments (RFC 6928 §2).
const FIRST_FLIGHT: u64 = 14_600;

/// Bytes of further requests that are read while an application makes a response, so that the end of the connection is
/// noticed.
const READ_AHEAD: usize = 64 * 1024;

/// The time, the settings and the dates that all connections share in one turn of the loop.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time of this turn. Each turn asks the clock once, in nanoseconds, and ends with system calls: equal times
    /// therefore mean the same turn, and [`Connection::sent`] compares them for that.
    pub now: Now,
    /// Limits, time-outs, and the name of the server.
    pub settings: &'a Settings,
    /// The `Date` field and the log's time stamp, made once per second.
    pub dates: &'a mut DateCache,
}

/// The next thing in the input, as [`Connection::next_event`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// More input is needed.
    NeedData,
    /// The head of a request is whole. The driver parses it, and then accepts or refuses it.
    Head(Head),
    /// This number of bytes at the front of the window is content of a body that an application takes. The driver
    /// consumes them.
    Data(usize),
    /// The body is complete, or too large to wait for: the response is due.
    End,
    /// The input cannot be served: the driver refuses it.
    Refuse(Error),
    /// A response has to be made, or to leave, before more input is parsed.
    Paused,
}

/// The destination of an accepted request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySink {
    /// An application.
    Application,
    /// None: the response is made already, and the body is discarded.
    Discard {
        /// Whether the response is an error, which is sent even if the body is over its limit.
        is_error: bool,
    },
}

/// The driver's next action when the output is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for events: the next request may have come already.
    Resume,
    /// Shut down the sending half, and go on reading.
    Shutdown,
    /// Close the socket unless more input has come; hand that to the connection. A close with unread input is a reset,
    /// and the peer might lose the response.
    CloseIfQuiet,
    /// Close the socket; with a reset if [`Connection::wants_reset`].
    Close,
}

/// The input side.
#[derive(Debug)]
enum Reader {
    Idle {
        /// The accept, or the end of the last response.
        since: Instant,
        /// Empty lines since then.
        empty_lines: u8,
    },
    Head {
        /// The beginning of the time that the head has.
        since: Instant,
        /// The arrival of its first byte.
        begun: Instant,
        scan: HeadScan,
    },
    Body(Box<BodyState>),
    Done(ResponseTerms),
}

#[derive(Debug)]
struct BodyState {
    /// The beginning of the time that the body's average rate is measured over.
    since: Instant,
    begun: Instant,
    reader: BodyReader,
    sink: BodySink,
    /// The client waits for `100 Continue`.
    expects_continue: bool,
    terms: ResponseTerms,
}

/// The properties of the request that its response depends on.
#[derive(Clone, Copy, Debug)]
struct ResponseTerms {
    /// The method is HEAD: the head of the response is that for GET, and no body follows (RFC 9110 §9.3.2).
    is_head: bool,
    after: AfterWrite,
}

/// The fate of the connection after a response.
///
/// The request, its body and the response decide it, one after the other:
///
/// 1. The head: `KeepAlive` or `Close`, as the request asks (`CheckedFields::keep_alive`, `accept`).
/// 2. The body: `Linger` if it is not read to its end (`BodyState::check_size`).
/// 3. A refusal replaces both: `CloseNow` for 408, else `Linger` (`refuse`).
/// 4. The response: `Linger` in place of `KeepAlive` if the server wants to close (`after_response`); and an application
///    chooses by its [`Completion`](crate::http1::Completion), `Reset` and `CloseNow` included (`finish_response`).
///
/// Input that comes after the last response makes a lingering close of every close (`ignore`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterWrite {
    /// The next request is read.
    KeepAlive,
    /// The peer asked for the close, and sends no more: a close at once if the response has left at once, else a
    /// lingering close.
    Close,
    /// A lingering close: more input may be on its way.
    Linger,
    /// A close at once: a peer that is late already gets no further time.
    CloseNow,
    /// A reset: the peer would take a close for the end of the body.
    Reset,
}

/// The output side.
#[derive(Debug)]
enum Writer {
    /// No response has begun.
    Idle,
    /// An application makes the response.
    Waiting,
    /// All of the response is in the output.
    Sending(AfterWrite),
    Lingering {
        since: Instant,
        drained: u64,
    },
    Closed {
        /// The peer stopped reading: the kernel discards its unsent bytes.
        reset: bool,
    },
}

/// The last moment at which the output was empty, and [`OutQueue::taken`] at that moment.
#[derive(Clone, Copy, Debug)]
struct Flight {
    since: Instant,
    from: u64,
}

/// The server's side of one HTTP/1.1 connection.
#[derive(Debug)]
pub struct Connection {
    reader: Reader,
    writer: Writer,
    input: InBuffer,
    output: OutQueue,
    flight: Flight,
    /// The last moment at which the peer sent bytes, or the kernel had room for some of the output.
    progress: Instant,
    /// What a slow peer has acknowledged.
    sight: Option<Box<Sight>>,
    /// The number of responses. The time of the first head begins with the accept.
    responses: u32,
    /// The server shuts down: the next response is the last.
    draining: bool,
}

impl Connection {
    /// A connection that is accepted at `now`.
    #[must_use]
    pub fn new(now: Now) -> Self {
        let now = now.monotonic;
        Self {
            reader: Reader::Idle { since: now, empty_lines: 0 },
            writer: Writer::Idle,
            input: InBuffer::new(),
            output: OutQueue::new(),
            flight: Flight { since: now, from: 0 },
            progress: now,
            sight: None,
            responses: 0,
            draining: false,
        }
    }

    /// Returns the name of the state, for the log. (`examples/site/guide/states.html` describes the states)
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (&self.writer, &self.reader) {
            (Writer::Closed { .. }, _) => "Closed",
            (Writer::Lingering { .. }, _) => "Lingering",
            (Writer::Sending(_), _) => "Writing",
            (Writer::Waiting, _) | (Writer::Idle, Reader::Done(_)) => "Waiting",
            (Writer::Idle, Reader::Idle { .. }) => "Reading",
            (Writer::Idle, Reader::Head { .. }) => "Headers",
            (Writer::Idle, Reader::Body(_)) => "Body",
        }
    }

    /// Whether more input is wanted. Back-pressure: no input is read while output waits for the peer.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        match self.writer {
            Writer::Closed { .. } => false,
            Writer::Lingering { .. } => true,
            Writer::Waiting if self.input.len() >= READ_AHEAD => false,
            _ => self.output.is_empty() && !self.input.is_ended(),
        }
    }

    /// Whether there is output to send, or a response to end.
    ///
    /// It is true with an empty output when an application ends a response whose bytes have all left before, and when the
    /// time of an idle connection that drains is over: nothing is sent, but [`Connection::sent`] has to be called,
    /// because it decides what follows.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty() || matches!(self.writer, Writer::Sending(_))
    }

    /// Whether the driver has to close the socket.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.writer, Writer::Closed { .. })
    }

    /// Whether the socket has to be closed with a reset: the peer stopped reading, or a response was cut short.
    #[must_use]
    pub fn wants_reset(&self) -> bool {
        matches!(self.writer, Writer::Closed { reset: true })
    }

    /// Whether the connection waits for the first byte of a request, and all responses have left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!((&self.writer, &self.reader), (Writer::Idle, Reader::Idle { .. })) && self.output.is_empty()
    }

    /// Whether an application makes the response.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.writer, Writer::Waiting)
    }

    /// Whether the connection discards input until the peer closes.
    #[must_use]
    pub fn is_lingering(&self) -> bool {
        matches!(self.writer, Writer::Lingering { .. })
    }

    /// Returns the bytes and files that wait to be sent.
    #[must_use]
    pub fn output(&self) -> &OutQueue {
        &self.output
    }

    /// As [`Connection::output`], for the driver to send from.
    pub fn output_mut(&mut self) -> &mut OutQueue {
        &mut self.output
    }

    /// Returns the number of input bytes that the connection holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.input.len()
    }

    /// Returns when the first byte of the current request came, while its head or body is being read.
    #[must_use]
    pub fn begun(&self) -> Option<Instant> {
        match &self.reader {
            Reader::Head { begun, .. } => Some(*begun),
            Reader::Body(body) => Some(body.begun),
            Reader::Idle { .. } | Reader::Done(_) => None,
        }
    }

    /// Lays a window over the held input and the received `bytes`, for [`Connection::next_event`].
    pub fn open<'a>(&mut self, bytes: &'a [u8], now: Now) -> Window<'a> {
        if !bytes.is_empty() {
            self.progress = now.monotonic;
        }
        self.input.open(bytes)
    }

    /// Keeps the bytes of the window that the events have not consumed.
    pub fn store(&mut self, window: Window<'_>) {
        self.input.close(window);
    }

    /// Notes that the peer has closed its sending half. It may still read (RFC 9112 §9.6): every request that is whole
    /// has its response.
    pub fn receive_eof(&mut self) {
        self.input.end();
    }

    /// Notes that the kernel has taken some of the output.
    pub fn note_progress(&mut self, now: Now) {
        self.progress = now.monotonic;
    }

    /// Ends the connection. (`asynchat`'s `close`)
    pub fn close(&mut self) {
        self.writer = Writer::Closed { reset: false };
    }

    /// Makes the next response the last, which says `Connection: close`. An idle connection is closed after
    /// [`Timeouts::drain_quiet`]: a request may be on its way already, and a close that crosses it would be a failure for
    /// the client.
    ///
    /// [`Timeouts::drain_quiet`]: super::settings::Timeouts::drain_quiet
    pub fn drain(&mut self, now: Now) {
        self.draining = true;
        if let (Writer::Idle, Reader::Idle { since, .. }) = (&self.writer, &mut self.reader) {
            *since = now.monotonic;
        }
    }
}
