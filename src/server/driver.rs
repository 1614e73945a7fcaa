//! The driver of a connection, between a transport, the protocol, the service and the access log.
//!
//! ```text
//! on_readable:  recv ──► receive ──► flush, until no more input comes
//! receive:      next_event ──► Head: Service::handle ──► respond
//!                          ──► Data, End, Refuse, Paused
//! flush:        transmit ──► sent ──► resume, shut down, or close
//! ```
//!
//! The server's channel on the reactor, the Tokio twin's task, the fuzzer and the tests share this driver; they differ
//! only in their [`Transport`].

mod ending;
mod pending;

use std::io;

use log::debug;

use super::log_record::PendingRecords;
use super::{LogRecord, LogSink, PeerInfo, Visitor, WorkerService};
use crate::chat::{Spares, Transport, Window, transmit};
use crate::clock::{Instant, Now};
use crate::http1::{
    Arrival, BodySink, Connection, Event, FEW_FIELDS, Head, MAX_FIELDS, Next, Reply, Response, Status, Turn,
    field_space,
};

/// A peer that has taken this number of bytes is one that reads.
const READS_WELL: u64 = 1024 * 1024;

/// How many connections of a worker may have much in the kernel, up to 4 MiB each: a reader that has taken [`READS_WELL`]
/// may stop. Further ones keep the room that all begin with.
const MOST_WIDE: u32 = 16;

/// The worker's resources, lent to the driver of one connection at a time.
#[derive(Debug)]
pub struct DriverContext<'a, S> {
    /// The time, the settings and the dates, for the protocol.
    pub turn: Turn<'a>,
    /// Makes the responses.
    pub service: &'a S,
    /// The peer and the identity of the connection, for the service.
    pub peer: PeerInfo,
    /// The number of frames (requests, and pieces that an application makes) that the connection may still handle in this
    /// turn: [`Context::frames_left`](crate::reactor::Context::frames_left). Further ones wait for the next turn, so
    /// that a client with a thousand pipelined requests does not hold up the others.
    pub frames: u32,
    /// The pool of memory for output.
    pub spares: &'a mut Spares,
    /// How many connections have much room in the kernel. Subtract [`Driver::is_wide`] when a connection has ended.
    pub wide: &'a mut u32,
    /// The access log, which gets a record of every response.
    pub log: Option<&'a mut dyn LogSink>,
}

/// A request whose response is not complete in the output yet.
#[derive(Debug)]
struct PendingRequest {
    reply: Reply,
    record: Option<LogRecord>,
    begun: Instant,
    /// Where in the output an application's response begins.
    from: Option<u64>,
}

/// One connection: the protocol, the current request and the records of its responses.
#[derive(Debug)]
pub struct Driver {
    connection: Connection,
    current: Option<Box<PendingRequest>>,
    records: PendingRecords,
    /// The turn's budget of requests is spent, and input is left.
    paused: bool,
    /// The service looks at a request for longer than a turn, and wakes the connection. ([`WorkerService::admit`])
    waits: bool,
    /// When the next request of the current piece of input arrived.
    arrival: Arrival,
    /// The kernel may queue much for the peer, which reads well.
    is_wide: bool,
}

impl Driver {
    /// A driver of a connection that is accepted at `now`.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            connection: Connection::new(now),
            current: None,
            records: PendingRecords::default(),
            paused: false,
            waits: false,
            arrival: Arrival::Unknown,
            is_wide: false,
        }
    }

    /// Returns the protocol's state machine.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether more input is wanted. (back-pressure; see [`Connection::wants_read`])
    #[must_use]
    pub fn wants_read(&self) -> bool {
        (!self.paused || self.is_stepping()) && self.connection.wants_read()
    }

    /// Whether a response is made in steps: a client that is gone meanwhile should be noticed.
    fn is_stepping(&self) -> bool {
        matches!(self.current.as_deref(), Some(PendingRequest { reply: Reply::Stepwise(_), .. }))
    }

    /// Whether the service has to wake the connection before more input is read.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Whether [`Driver::flush`] has work: output, the end of a response, or requests that another turn has to handle.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.paused || self.connection.wants_write()
    }

    /// Whether the connection waits for the first byte of a request, and all responses have left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.paused && self.connection.is_idle()
    }

    /// Returns the number of input bytes that wait for the rest of a request, or for the peer to take a response. Input
    /// that waits for its turn in the loop is not counted.
    #[must_use]
    pub fn held(&self) -> usize {
        if self.paused { 0 } else { self.connection.held() }
    }

    /// Whether this connection is one of [`DriverContext::wide`].
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.is_wide
    }

    /// Makes the next response the last. (see [`Connection::drain`])
    pub fn drain(&mut self, now: Now) {
        self.connection.drain(now);
    }

    /// Ends the connection, without further reads and sends.
    pub fn close(&mut self) {
        self.connection.close();
    }

    /// Receives input, and handles it.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn on_readable<S: WorkerService>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        // The first byte of a request, if the kernel had it before it reported.
        let mut arrival = match io.take_report() && self.is_idle() {
            true => Arrival::BeforeTurn,
            false => Arrival::Unknown,
        };
        while self.wants_read() && !(cx.service.is_guarded() && self.waits) {
            match io.recv()? {
                None => break,
                Some([]) => {
                    self.connection.receive_eof();
                    if self.is_given_up() {
                        self.connection.close();
                        break;
                    }
                    self.receive(b"", cx);
                }
                Some(bytes) => {
                    self.receive_as(std::mem::replace(&mut arrival, Arrival::Unknown), bytes, cx);
                }
            }
            self.flush(io, cx)?;
        }
        Ok(())
    }

    /// Sends the output, and does what follows it, as far as transport and budget allow.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn flush<S: WorkerService>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        // Each round handles at least one more request, or is the last: the budget bounds the loop.
        while self.wants_write() {
            let sent = transmit(io, self.connection.output_mut())?;
            // Even after a round without bytes: the `write` of an application may have sent its response.
            self.log_records(cx, false);
            if sent.bytes > 0 {
                self.connection.note_progress(cx.turn.now);
                // The kernel queues little for a client that may never read; one that reads gets more.
                let reads_well = self.connection.output().taken() >= READS_WELL;
                if reads_well && !self.is_wide && *cx.wide < MOST_WIDE {
                    self.is_wide = true;
                    *cx.wide += 1;
                    io.widen();
                }
            }
            if !sent.drained {
                break;
            }
            match self.connection.sent(cx.turn.now) {
                Next::Resume => self.receive(b"", cx),
                Next::Shutdown => io.shutdown(),
                Next::CloseIfQuiet => self.close_if_quiet(io, cx)?,
                Next::Close => break,
            }
            if cx.frames == 0 {
                break;
            }
        }
        cx.spares.reclaim(self.connection.output_mut());
        if self.connection.wants_reset() {
            io.reset()?;
        }
        Ok(())
    }

    /// Continues the response of an application, which has woken the connection.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn on_wake<S: WorkerService>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        if self.connection.is_waiting() || cx.service.is_guarded() && self.waits {
            self.receive(b"", cx);
            self.flush(io, cx)?;
        }
        Ok(())
    }

    /// Handles received bytes, event by event.
    ///
    /// Without bytes it goes on with the input that the connection holds. So a connection resumes after a response has
    /// left, and after its budget was spent: the next request may be held already, and then no readiness event comes for
    /// it.
    fn receive<S: WorkerService>(&mut self, bytes: &[u8], cx: &mut DriverContext<'_, S>) {
        self.receive_as(Arrival::Unknown, bytes, cx);
    }

    fn receive_as<S: WorkerService>(
        &mut self,
        arrival: Arrival,
        bytes: &[u8],
        cx: &mut DriverContext<'_, S>,
    ) {
        cx.spares.lend(self.connection.output_mut());
        (self.paused, self.arrival) = (false, arrival);
        if cx.service.is_guarded() {
            self.waits = false;
        }
        let mut window = self.connection.open(bytes, cx.turn.now);
        while self.take_event(&mut window, cx) {}
        self.connection.store(window);
    }

    /// Handles the next event; returns whether another one may follow.
    fn take_event<S: WorkerService>(
        &mut self,
        window: &mut Window<'_>,
        cx: &mut DriverContext<'_, S>,
    ) -> bool {
        match self.connection.next_event(window, &cx.turn) {
            Event::NeedData => return false,
            Event::Paused => return self.poll_application(cx),
            Event::Head(_) if cx.frames == 0 => {
                self.paused = true;
                return false;
            }
            Event::Head(_) if cx.service.is_guarded() && self.waits => return false,
            Event::Head(head) if head.fields <= FEW_FIELDS => {
                self.handle_head::<S, FEW_FIELDS>(head, window, cx)
            }
            Event::Head(head) => self.handle_head::<S, MAX_FIELDS>(head, window, cx),
            Event::Data(count) => self.pass_body(count, window, cx),
            Event::End => self.end_request(cx),
            Event::Refuse(error) => {
                debug!("{error}");
                self.refuse(error.status(), window, cx);
            }
        }
        true
    }

    /// Parses a whole head, and passes the request to the service. `FIELDS`: the most field lines of this head.
    fn handle_head<S: WorkerService, const FIELDS: usize>(
        &mut self,
        head: Head,
        window: &mut Window<'_>,
        cx: &mut DriverContext<'_, S>,
    ) {
        cx.frames -= 1;
        let mut space = field_space::<FIELDS>();
        let mut request = match head.parse(window.bytes(), &mut space, &cx.turn.settings.limits) {
            Ok(request) => request,
            Err(error) => {
                debug!("{error}");
                return self.refuse(error.status(), window, cx);
            }
        };
        request.arrival = std::mem::replace(&mut self.arrival, Arrival::WithPrevious);
        let keep_alive = request.keep_alive;
        // An application that writes the head itself announces the end.
        request.keep_alive &= !self.connection.is_last(&cx.turn);
        cx.service.set_peer(&cx.peer);
        if cx.service.is_guarded() && !cx.service.admit(&request, cx.turn.now) {
            // The next call for an event finds the same head.
            self.waits = true;
            return;
        }
        let reply = cx.service.handle(&request, cx.turn.now);
        let record = cx.log.as_deref().map(|log| match cx.service.visitor() {
            Some(Visitor { client, user, number }) => log.begin(&request, client, user.as_deref(), number),
            None => log.begin(&request, cx.peer.peer, None, None),
        });
        // What follows the response is decided with it.
        request.keep_alive = keep_alive;
        let needs = request.needs();
        let sink = match &reply {
            Reply::Ready(response) => BodySink::Discard { is_error: response.status.is_error() },
            Reply::Stepwise(_) => BodySink::Discard { is_error: false },
            Reply::Pending(_) => BodySink::Application,
        };
        let is_whole = self.connection.accept(head, needs, sink, window, &cx.turn);
        match reply {
            Reply::Ready(response) if is_whole => self.respond(response, record, head.begun, cx),
            reply => {
                let current = PendingRequest { reply, record, begun: head.begun, from: None };
                self.current = Some(Box::new(current));
                if is_whole {
                    self.end_request(cx);
                }
            }
        }
    }

    #[inline]
    fn respond<S>(
        &mut self,
        response: Response,
        record: Option<LogRecord>,
        begun: Instant,
        cx: &mut DriverContext<'_, S>,
    ) {
        let status = response.status;
        let Some(mut record) = record else {
            self.connection.respond(response, &mut cx.turn);
            return;
        };
        record.keep_fields(|| response.head().1);
        let body = self.connection.respond(response, &mut cx.turn);
        self.records.push(record, status, begun, body);
    }

    /// Passes `count` bytes of the body to the application.
    fn pass_body<S>(&mut self, count: usize, window: &mut Window<'_>, cx: &mut DriverContext<'_, S>) {
        let taken = match self.current.as_deref_mut() {
            Some(PendingRequest { reply: Reply::Pending(pending), .. }) => {
                pending.body(&window.bytes()[..count])
            }
            _ => Ok(()),
        };
        window.consume(count);
        if let Err(status) = taken {
            self.refuse(status, window, cx);
        }
    }

    /// Ends the request: its response goes into the output, or an application begins to make it.
    fn end_request<S>(&mut self, cx: &mut DriverContext<'_, S>) {
        let Some(mut current) = self.current.take() else {
            return;
        };
        match current.reply {
            Reply::Ready(response) => self.respond(response, current.record, current.begun, cx),
            Reply::Stepwise(_) | Reply::Pending(_) => {
                current.from = Some(self.connection.begin_response());
                match &mut current.reply {
                    Reply::Pending(pending) => pending.begin(),
                    // This turn has had its step, in the service.
                    _ => cx.frames = 0,
                }
                self.current = Some(current);
            }
        }
    }

    fn refuse<S>(&mut self, status: Status, window: &Window<'_>, cx: &mut DriverContext<'_, S>) {
        self.waits = false;
        let begun = self.connection.begun();
        let body = self.connection.refuse(status, window, &mut cx.turn);
        let record = match self.current.take() {
            Some(current) => current.record,
            // Before the first byte of a request the record has no line.
            None => cx
                .log
                .as_deref()
                .map(|log| log.begin_refused(begun.map_or(b"", |_| window.bytes()), cx.peer.peer)),
        };
        if let Some(record) = record {
            self.records.push(record, status, begun.unwrap_or(cx.turn.now.monotonic), body);
        }
    }

    /// Logs the responses that have left; with `all`, also those that were cut short.
    fn log_records<S: WorkerService>(&mut self, cx: &mut DriverContext<'_, S>, all: bool) {
        let Some(log) = &mut cx.log else {
            return;
        };
        let now = if cx.service.takes_time() { Now::ask() } else { cx.turn.now };
        let taken = self.connection.output().taken();
        while let Some(record) = self.records.pop(taken, now.monotonic, all) {
            let stamp = if log.wants_lines() { cx.turn.dates.log(now.wall) } else { "" };
            log.record(cx.peer.peer, stamp, record);
        }
    }
}
