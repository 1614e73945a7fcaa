//! The driver of a connection: between a transport, the protocol, the service and the access log.
//!
//! ```text
//! on_readable:  recv ──► receive ──► flush, until nothing more comes
//! receive:      next_event ──► Head: Service::handle ──► respond
//!                          ──► Data, End, Refuse, Paused
//! flush:        transmit ──► sent? ──► resume, shut down, or close
//! ```
//!
//! It is the only one: the server's channel on the reactor, the Tokio twin's task, the fuzzer and the tests differ in
//! their [`Transport`] alone.

use std::io;

use log::debug;

use super::log_record::PendingRecords;
use super::{LogRecord, LogSink, PeerInfo, WorkerService};
use crate::chat::{OutQueue, Spare, Transport, Window, transmit};
use crate::clock::{Instant, Now};
use crate::http1::{
    BodySink, Connection, Event, FEW_FIELDS, Head, MAX_FIELDS, Next, Progress, Reply, Response, Status,
    Timeouts, Turn, field_space,
};

/// From how many bytes taken on a peer counts as one that reads.
const READS_WELL: u64 = 1024 * 1024;

/// The status in the log of a client that did not wait for its response: nginx's number.
const CLIENT_GONE: Status = Status::of_application(499);

/// More are given back to the system: in one turn of the loop hardly more connections than this
/// have something to send at the same time.
const MOST_SPARES: usize = 64;

/// Memory that output queues give back when they have nothing to send.
#[derive(Debug, Default)]
pub struct Spares(Vec<Spare>);

impl Spares {
    fn lend(&mut self, queue: &mut OutQueue) {
        if queue.is_empty()
            && let Some(spare) = self.0.pop()
        {
            queue.lend(spare);
        }
    }

    fn reclaim(&mut self, queue: &mut OutQueue) {
        if let Some(spare) = queue.reclaim()
            && self.0.len() < MOST_SPARES
        {
            self.0.push(spare);
        }
    }
}

/// What the driver of a connection is lent while it runs.
#[derive(Debug)]
pub struct DriverContext<'a, S: ?Sized> {
    /// What the protocol is lent.
    pub turn: Turn<'a>,
    /// Makes the responses.
    pub service: &'a S,
    /// The connection.
    pub peer: PeerInfo,
    /// How many more requests of it may be answered in this turn; the others wait for the next one, so that a
    /// client with a thousand pipelined requests does not hold up everyone else.
    pub requests: u32,
    /// Memory for output.
    pub spares: &'a mut Spares,
    /// Where a line for every response goes, if anywhere.
    pub log: Option<&'a mut dyn LogSink>,
}

/// A request whose response is not in the output yet.
#[derive(Debug)]
struct Current {
    reply: Reply,
    record: Option<LogRecord>,
    begun: Instant,
    /// Where in the output the response begins, once an application makes it.
    from: Option<u64>,
}

/// One connection: the protocol, and what it is in the middle of.
#[derive(Debug)]
pub struct Driver {
    connection: Connection,
    current: Option<Box<Current>>,
    records: PendingRecords,
    /// The turn's budget of requests ended with input left.
    paused: bool,
    /// The kernel holds more of it than of others: the peer has shown that it reads.
    reads_well: bool,
}

impl Driver {
    /// Drives a connection that was accepted now.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            connection: Connection::new(now),
            current: None,
            records: PendingRecords::default(),
            paused: false,
            reads_well: false,
        }
    }

    /// The protocol's side.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Back-pressure: whether more input is wanted.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        !self.paused && self.connection.wants_read()
    }

    /// Whether there is something to send, or requests to go on with in another turn.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.paused || self.connection.wants_write()
    }

    /// Whether it waits for the first byte of a request, and owes nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.paused && self.connection.is_idle()
    }

    /// When [`Driver::on_timeout`] has to be called, if nothing happens before.
    #[must_use]
    pub fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        self.connection.deadline(timeouts)
    }

    /// Takes one more request at the most. (see [`Connection::drain`])
    pub fn drain(&mut self, now: Now) {
        self.connection.drain(now);
    }

    /// Ends the connection: nothing more is read or sent.
    pub fn close(&mut self) {
        self.connection.close();
    }

    /// Reads what has come, and answers it.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn on_readable<S: WorkerService + ?Sized>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        while self.wants_read() {
            match io.recv()? {
                None => break,
                Some([]) => {
                    self.connection.receive_eof();
                    self.receive(b"", cx);
                }
                Some(bytes) => self.receive(bytes, cx),
            }
            self.flush(io, cx)?;
        }
        Ok(())
    }

    /// Sends what waits, and does what comes after it, as far as transport and budget allow.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn flush<S: WorkerService + ?Sized>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        // Each round answers at least one more request, or is the last: the budget bounds it.
        while self.wants_write() {
            let sent = transmit(io, self.connection.output_mut())?;
            if sent.bytes > 0 {
                self.connection.note_progress(cx.turn.now);
                self.log_records(cx, false);
                if !self.reads_well && self.connection.output().taken() >= READS_WELL {
                    // A client that never reads may pin little of the kernel's memory; one that reads gets room.
                    self.reads_well = true;
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
                Next::Close => {}
            }
            if cx.requests == 0 {
                break;
            }
        }
        cx.spares.reclaim(self.connection.output_mut());
        if self.connection.wants_reset() {
            io.reset()?;
        }
        Ok(())
    }

    /// Does what a deadline that has passed asks for.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn on_timeout<S: WorkerService + ?Sized>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        // A request that has come since the kernel was asked, in a long turn say, has come in time.
        if self.is_idle() {
            io.look_again();
            self.on_readable(io, cx)?;
        }
        if let Some(error) = self.connection.expire(cx.turn.now, &cx.turn.settings.timeouts) {
            // The window is dropped: what has come of the request is not looked at again.
            let window = self.connection.open(b"", cx.turn.now);
            self.refuse(error.status(), &window, cx);
        }
        self.flush(io, cx)
    }

    /// Goes on with the response of an application, which has woken the connection.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn on_wake<S: WorkerService + ?Sized>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        if self.connection.is_waiting() {
            self.receive(b"", cx);
            self.flush(io, cx)?;
        }
        Ok(())
    }

    /// Makes room for another connection: closes this one unless it is in the middle of a request.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn make_room<S: WorkerService + ?Sized>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        if self.is_idle() {
            self.close_if_quiet(io, cx)?;
        } else if self.connection.is_lingering() {
            self.connection.close();
        }
        self.flush(io, cx)
    }

    /// Closes, unless something has come that nobody has been told of.
    fn close_if_quiet<S: WorkerService + ?Sized>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        io.look_again();
        match io.recv()? {
            None | Some([]) => self.connection.close(),
            Some(bytes) => self.receive(bytes, cx),
        }
        Ok(())
    }

    /// Takes what has come from the peer, event by event. Without bytes: goes on with what came before.
    fn receive<S: WorkerService + ?Sized>(&mut self, bytes: &[u8], cx: &mut DriverContext<'_, S>) {
        cx.spares.lend(self.connection.output_mut());
        self.paused = false;
        let mut window = self.connection.open(bytes, cx.turn.now);
        while self.take_event(&mut window, cx) {}
        self.connection.store(window);
    }

    /// Handles the next event; returns whether there may be another one.
    fn take_event<S: WorkerService + ?Sized>(
        &mut self,
        window: &mut Window<'_>,
        cx: &mut DriverContext<'_, S>,
    ) -> bool {
        match self.connection.next_event(window, &cx.turn) {
            Event::NeedData => return false,
            Event::Paused => return self.poll_application(cx),
            Event::Head(_) if cx.requests == 0 => {
                self.paused = true;
                return false;
            }
            // Clearing room for all fields that are possible would cost more than parsing those that are there.
            Event::Head(head) if head.fields <= FEW_FIELDS => {
                self.handle_head::<S, FEW_FIELDS>(head, window, cx)
            }
            Event::Head(head) => self.handle_head::<S, MAX_FIELDS>(head, window, cx),
            Event::Data(count) => self.hand_over(count, window, cx),
            Event::End => self.end_request(cx),
            Event::Refuse(error) => {
                debug!("{error}");
                self.refuse(error.status(), window, cx);
            }
        }
        true
    }

    /// The head of a request is whole: has the service handle it. `FIELDS`: room for its field lines.
    fn handle_head<S: WorkerService + ?Sized, const FIELDS: usize>(
        &mut self,
        head: Head,
        window: &mut Window<'_>,
        cx: &mut DriverContext<'_, S>,
    ) {
        cx.requests -= 1;
        let mut space = field_space::<FIELDS>();
        let request = match head.parse(window.bytes(), &mut space, &cx.turn.settings.limits) {
            Ok(request) => request,
            Err(error) => {
                debug!("{error}");
                return self.refuse(error.status(), window, cx);
            }
        };
        cx.service.set_peer(&cx.peer);
        let reply = cx.service.handle(&request, cx.turn.now);
        let record = cx.log.is_some().then(|| LogRecord::of(&request));
        let needs = request.needs();
        let sink = match &reply {
            Reply::Ready(response) => BodySink::Discard { is_error: response.status.is_error() },
            Reply::Pending(_) => BodySink::Application,
        };
        let is_whole = self.connection.accept(head, needs, sink, window, &cx.turn);
        match reply {
            Reply::Ready(response) if is_whole => self.respond(response, record, head.begun, cx),
            reply => {
                self.current = Some(Box::new(Current { reply, record, begun: head.begun, from: None }));
                if is_whole {
                    self.end_request(cx);
                }
            }
        }
    }

    fn respond<S: ?Sized>(
        &mut self,
        response: Response,
        record: Option<LogRecord>,
        begun: Instant,
        cx: &mut DriverContext<'_, S>,
    ) {
        let status = response.status;
        let body = self.connection.respond(response, &mut cx.turn);
        if let Some(record) = record {
            self.records.push(record, status, begun, body);
        }
    }

    /// Hands `count` bytes of the body to the application.
    fn hand_over<S: ?Sized>(&mut self, count: usize, window: &mut Window<'_>, cx: &mut DriverContext<'_, S>) {
        let taken = match self.current.as_deref_mut() {
            Some(Current { reply: Reply::Pending(pending), .. }) => pending.body(&window.bytes()[..count]),
            _ => Ok(()),
        };
        window.consume(count);
        if let Err(status) = taken {
            self.refuse(status, window, cx);
        }
    }

    /// The request is whole: its response leaves, or begins to be made.
    fn end_request<S: ?Sized>(&mut self, cx: &mut DriverContext<'_, S>) {
        let Some(mut current) = self.current.take() else {
            return;
        };
        match current.reply {
            Reply::Ready(response) => self.respond(response, current.record, current.begun, cx),
            Reply::Pending(ref mut pending) => {
                current.from = Some(self.connection.begin_response());
                pending.begin();
                self.current = Some(current);
            }
        }
    }

    fn refuse<S: ?Sized>(&mut self, status: Status, window: &Window<'_>, cx: &mut DriverContext<'_, S>) {
        let begun = self.connection.begun();
        let body = self.connection.refuse(status, window, &mut cx.turn);
        let record = match self.current.take() {
            Some(current) => current.record,
            // Before the first byte of a request there is no line to show.
            None => cx.log.is_some().then(|| LogRecord::refused(begun.map_or(b"", |_| window.bytes()))),
        };
        if let Some(record) = record {
            self.records.push(record, status, begun.unwrap_or(cx.turn.now.monotonic), body);
        }
    }

    /// Takes what an application has made. What it makes next waits until this has left: its pieces are not
    /// gathered, and a client that does not read them holds it up. Returns whether there is more to be done at once.
    fn poll_application<S: ?Sized>(&mut self, cx: &mut DriverContext<'_, S>) -> bool {
        if !self.connection.is_waiting() || self.connection.output().is_above_high_water() {
            return false;
        }
        if cx.requests == 0 {
            self.paused = true;
            return false;
        }
        let Some(Current { reply: Reply::Pending(pending), .. }) = self.current.as_deref_mut() else {
            return false;
        };
        self.connection.note_flight(cx.turn.now);
        let output = self.connection.output_mut();
        let progress = pending.poll(output);
        output.set_more_comes(progress == Progress::Soon);
        match progress {
            Progress::Pending => false,
            Progress::More | Progress::Soon => {
                cx.requests -= 1;
                // It may have made nothing: then there is no end of sending to wait for.
                output.is_empty()
            }
            Progress::End(completion) => {
                self.record_application();
                self.connection.finish_response(completion, cx.turn.now);
                true
            }
        }
    }

    /// The response of an application ends here, whole or not.
    fn record_application(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        let Current { reply: Reply::Pending(pending), record: Some(record), begun, from: Some(from) } =
            *current
        else {
            return;
        };
        let end = self.connection.output().taken() + self.connection.output().len();
        let (status, head) = pending.status().unwrap_or((CLIENT_GONE, 0));
        self.records.push(record, status, begun, end.min(from + head)..end);
    }

    /// Writes the lines of all responses that have left.
    fn log_records<S: WorkerService + ?Sized>(&mut self, cx: &mut DriverContext<'_, S>, all: bool) {
        let Some(log) = &mut cx.log else {
            return;
        };
        let now = if cx.service.takes_time() { Now::ask() } else { cx.turn.now };
        let taken = self.connection.output().taken();
        while let Some(record) = self.records.pop(taken, now.monotonic, all) {
            log.record(cx.peer.peer, cx.turn.dates.log(now.wall), record);
        }
    }

    /// The connection is gone: also what was cut short is logged.
    pub fn on_close<S: WorkerService + ?Sized>(&mut self, cx: &mut DriverContext<'_, S>) {
        self.record_application();
        self.log_records(cx, true);
    }
}
