//! One connection, as a state machine that is handed bytes and the time, and asked what it has found.
//!
//! ```text
//! bytes ──► open ──► next_event* ──► store
//!                        │
//!                        ├─ NeedData        read more
//!                        ├─ Head            parse it, call the service, accept (or refuse)
//!                        ├─ Data            content for whoever wants the body
//!                        ├─ End             the request is whole: respond
//!                        ├─ Refuse          refuse
//!                        └─ Paused          nothing is parsed before the response is made, or has left
//! ```
//!
//! It calls nothing: the driver asks for one event at a time, and responds. Each direction has a state of its own:
//!
//! ```text
//! Reader:  Idle ──► Head ──► Body ──► Done ──► (the response has left) Idle
//! Writer:  Idle ──► (Waiting) ──► Sending ──► Idle, or Lingering ──► Closed
//! ```
//!
//! * `Idle` waits for the first byte of a request; nothing is held for it.
//! * `Head` waits for CR LF CR LF. A head that cannot become a request is refused as soon as that is
//!   certain, and the refusal is the same at whatever byte the input is cut.
//! * `Body` waits for the end of a body. One that no application wants is read and thrown away, so that the connection can
//!   persist; one that is too large to be worth that is not waited for: the response leaves at once and the connection
//!   closes after it.
//! * `Done` waits for the response to leave. While anything is in the output no input is read:
//!   that one rule keeps the memory of a connection bounded, and pipelined responses in order. Requests that
//!   came in the same read are answered together, until the turn's budget or the high-water mark.
//! * `Waiting` waits for an application to make the response, whose first pieces may have left already.
//! * `Sending` waits for the peer to take the response.
//! * `Lingering` has told the peer that nothing more will come and throws away what still comes from it. A
//!   close with unread input would reset the connection, and the peer would lose our last response with it.
//! * `Closed` waits for nothing.

mod reading;
mod writing;

use std::time::Duration;

use super::body::BodyReader;
use super::error::Error;
use super::head::Head;
use super::scan::HeadScan;
use super::settings::{Settings, Timeouts};
use crate::chat::{InBuffer, OutQueue, Window};
use crate::clock::{DateCache, Instant, Now};

/// Bytes that leave a new connection without any having been acknowledged: ten segments (RFC 6928 §2).
const FIRST_FLIGHT: u64 = 14_600;

/// Bytes of further requests that may come while an application makes a response. They are read so that a client that
/// has gone is noticed.
const READ_AHEAD: usize = 64 * 1024;

/// What all connections have in common in one turn.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time of this turn. It stands still while the turn lasts, so two equal times are of the same turn.
    pub now: Now,
    /// Limits and names.
    pub settings: &'a Settings,
    /// The strings of this second.
    pub dates: &'a mut DateCache,
}

/// What [`Connection::next_event`] has found in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing more can be found before more input comes.
    NeedData,
    /// The head of a request is whole. The driver parses it, and then accepts or refuses it.
    Head(Head),
    /// The first so-and-so many bytes of the window are content of a body that an application wants. The driver consumes
    /// them.
    Data(usize),
    /// The body is over, or is not worth waiting for: the response is due.
    End,
    /// The input is no request that can be served: the driver refuses it.
    Refuse(Error),
    /// A response has to be made, or to leave, before anything more is parsed.
    Paused,
}

/// What the body of an accepted request is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySink {
    /// An application takes it.
    Application,
    /// It is thrown away: the response is made already.
    Discard {
        /// The response is a refusal, which leaves whatever the size of the body.
        is_error: bool,
    },
}

/// What the driver has to do once everything has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for events: requests that have already come may be answered now.
    Resume,
    /// Shut the sending half down and go on reading.
    Shutdown,
    /// Close the socket, if nothing more has come: with unread input a close is a reset, and the peer might
    /// lose our response. If something has, hand it in.
    CloseIfQuiet,
    /// Close the socket; with a reset if [`Connection::wants_reset`].
    Close,
}

/// The input side.
#[derive(Debug)]
enum Reader {
    Idle {
        /// When it began: the accept, or the end of the last response.
        since: Instant,
        /// Empty lines since then.
        empty_lines: u8,
    },
    Head {
        /// When the time for the head began.
        since: Instant,
        /// When its first byte came.
        begun: Instant,
        scan: HeadScan,
    },
    Body(Box<BodyState>),
    Done(ResponseTerms),
}

#[derive(Debug)]
struct BodyState {
    /// When the request began, for the average rate.
    since: Instant,
    begun: Instant,
    reader: BodyReader,
    sink: BodySink,
    /// The client waits for `100 Continue`.
    expects_continue: bool,
    terms: ResponseTerms,
}

/// What the response depends on when the request is gone.
#[derive(Clone, Copy, Debug)]
struct ResponseTerms {
    /// HEAD: the head says what it would for GET, and no body follows (RFC 9110 §9.3.2).
    is_head: bool,
    /// What follows the response, as far as the request decides it.
    after: AfterWrite,
}

/// What follows a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterWrite {
    /// The next request.
    KeepAlive,
    /// The peer wanted this response to be the last: a close, with care.
    Close,
    /// Something may still be coming: a lingering close.
    Linger,
    /// A close at once: there is no lingering with a peer that is late already.
    CloseNow,
    /// A reset: a close would look like the end of the body.
    Reset,
}

/// The output side.
#[derive(Debug)]
enum Writer {
    /// No response is due, or it is still to be made by the driver.
    Idle,
    /// An application makes the response.
    Waiting,
    /// The response is in the output, to its end.
    Sending(AfterWrite),
    Lingering {
        since: Instant,
        drained: u64,
    },
    Closed {
        /// The peer stopped reading: what is left in the kernel is thrown away with the connection.
        reset: bool,
    },
}

/// When the output was last empty, and [`OutQueue::taken`] at that time.
#[derive(Clone, Copy, Debug)]
struct Flight {
    since: Instant,
    from: u64,
}

/// One HTTP/1.1 connection, seen from the server.
#[derive(Debug)]
pub struct Connection {
    reader: Reader,
    writer: Writer,
    input: InBuffer,
    output: OutQueue,
    flight: Flight,
    /// When the peer last sent something, or took something.
    progress: Instant,
    /// Requests that have been answered; the first one has the head's time from the accept on.
    answered: u32,
    /// This connection takes no further request than the next one.
    draining: bool,
}

impl Connection {
    /// A connection that was accepted just now.
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
            answered: 0,
            draining: false,
        }
    }

    /// The name of the state, as `docs/DESIGN.md` draws it.
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

    /// Back-pressure: whether more input is wanted. Never while the peer has not taken what it was given.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        match self.writer {
            Writer::Closed { .. } => false,
            Writer::Lingering { .. } => true,
            Writer::Waiting if self.input.len() >= READ_AHEAD => false,
            _ => self.output.is_empty() && !self.input.is_ended(),
        }
    }

    /// Whether there is something to send, or to be done once everything has been sent.
    ///
    /// The second is why it may be true with an empty output: after a response without a byte left, [`Connection::sent`]
    /// decides what follows it.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty() || matches!(self.writer, Writer::Sending(_))
    }

    /// Whether it is over: the driver closes the socket.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.writer, Writer::Closed { .. })
    }

    /// Whether the socket should be closed with a reset, because the peer does not read.
    #[must_use]
    pub fn wants_reset(&self) -> bool {
        matches!(self.writer, Writer::Closed { reset: true })
    }

    /// Whether it waits for the first byte of a request, and owes nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!((&self.writer, &self.reader), (Writer::Idle, Reader::Idle { .. })) && self.output.is_empty()
    }

    /// Whether an application makes the response.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.writer, Writer::Waiting)
    }

    /// Whether it waits for nothing but the peer's close.
    #[must_use]
    pub fn is_lingering(&self) -> bool {
        matches!(self.writer, Writer::Lingering { .. })
    }

    /// What waits to be sent.
    #[must_use]
    pub fn output(&self) -> &OutQueue {
        &self.output
    }

    /// What waits to be sent, for the driver to send it.
    pub fn output_mut(&mut self) -> &mut OutQueue {
        &mut self.output
    }

    /// How many bytes of input wait here.
    #[must_use]
    pub fn held(&self) -> usize {
        self.input.len()
    }

    /// When the first byte of the current request came, while its head or body is coming.
    #[must_use]
    pub fn begun(&self) -> Option<Instant> {
        match &self.reader {
            Reader::Head { begun, .. } => Some(*begun),
            Reader::Body(body) => Some(body.begun),
            Reader::Idle { .. } | Reader::Done(_) => None,
        }
    }

    /// Lays a window over the input that is held and the bytes that have just come, for [`Connection::next_event`].
    ///
    /// Without bytes it shows what has come before: a `Resume` is a receive of nothing.
    pub fn open<'a>(&mut self, bytes: &'a [u8], now: Now) -> Window<'a> {
        if !bytes.is_empty() {
            self.progress = now.monotonic;
        }
        self.input.open(bytes)
    }

    /// Keeps what the events have left of the window.
    pub fn store(&mut self, window: Window<'_>) {
        self.input.close(window);
    }

    /// Takes note that the peer will send no more. It may still read (RFC 9112 §9.6): what it has asked
    /// for in full is answered in full.
    pub fn receive_eof(&mut self) {
        self.input.end();
    }

    /// Takes note that the peer has taken some of the output.
    pub fn note_progress(&mut self, now: Now) {
        self.progress = now.monotonic;
    }

    /// Ends the connection. (`asynchat`'s `close`)
    pub fn close(&mut self) {
        self.writer = Writer::Closed { reset: false };
    }

    /// Takes one more request at the most, and says so in its response. A connection that stays quiet is
    /// closed after [`Timeouts::drain_quiet`]: a request may be on its way to us already, and a close that
    /// crosses it would be a failure for its sender.
    pub fn drain(&mut self, now: Now) {
        self.draining = true;
        if let (Writer::Idle, Reader::Idle { since, .. }) = (&self.writer, &mut self.reader) {
            *since = now.monotonic;
        }
    }

    /// When [`Connection::expire`] has to be called, if nothing happens before.
    #[must_use]
    pub fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        let with_rate = |since: Instant, idle: Duration, grace: Duration, bytes: u64, rate: u64| {
            let slowest = since + grace + Duration::from_secs(bytes / rate.max(1));
            slowest.min(self.progress + idle)
        };
        match (&self.writer, &self.reader) {
            (Writer::Closed { .. }, _) => None,
            (Writer::Lingering { since, .. }, _) => {
                Some((*since + timeouts.linger).min(self.progress + timeouts.linger_idle))
            }
            _ if self.wants_write() => {
                let bytes = self.output.taken() - self.flight.from;
                let (idle, grace) = (timeouts.write_idle, timeouts.write_grace);
                Some(with_rate(self.flight.since, idle, grace, bytes, timeouts.write_rate))
            }
            // How long the application takes is its own affair.
            (_, Reader::Done(_)) => None,
            (_, Reader::Idle { since, .. }) if self.draining => Some(*since + timeouts.drain_quiet),
            (_, Reader::Idle { since, .. }) if self.answered > 0 => Some(*since + timeouts.keep_alive),
            (_, Reader::Idle { since, .. } | Reader::Head { since, .. }) => Some(*since + timeouts.head),
            (_, Reader::Body(body)) => {
                let bytes = body.reader.content();
                let (idle, grace) = (timeouts.body_idle, timeouts.body_grace);
                Some(with_rate(body.since, idle, grace, bytes, timeouts.body_rate))
            }
        }
    }

    /// Does what a deadline that has passed asks for. Called too early, it does nothing.
    ///
    /// Returns the error to refuse a request with that has begun: its sender is told why it ends.
    #[must_use = "a request that is late is refused"]
    pub fn expire(&mut self, now: Now, timeouts: &Timeouts) -> Option<Error> {
        if self.deadline(timeouts).is_none_or(|deadline| deadline > now.monotonic) {
            return None;
        }
        if self.wants_write() && !self.is_lingering() {
            self.writer = Writer::Closed { reset: true };
            return None;
        }
        match (&self.writer, &self.reader) {
            (Writer::Idle, Reader::Head { .. } | Reader::Body(_)) => return Some(Error::Timeout),
            // A request may be crossing our close: it is read, and so does not reset the connection.
            (Writer::Idle, Reader::Idle { .. }) if self.draining => {
                self.writer = Writer::Sending(AfterWrite::Linger);
            }
            _ => self.writer = Writer::Closed { reset: false },
        }
        None
    }
}
