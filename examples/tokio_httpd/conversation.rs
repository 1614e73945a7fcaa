//! A connection's task: a socket, and the protocol that knows no sockets. (`server::HttpChannel`)
//!
//! ```text
//! run:   turn ──► bounds spent? ──► yield ──► turn …
//!          └────► await: readable? room? an order? the deadline? ──► turn …
//! turn:  recv ──► Connection::receive ──► transmit ──► flushed? ──► resume, shut down, or close
//! ```
//!
//! A turn runs to its end on one thread, with what that thread has for itself. Between two turns the task may move.

use std::future::{Future, poll_fn};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use log::debug;
use stheno::chat::{OutQueue, Segment};
use stheno::clock::{Instant, Now};
use stheno::files::FileService;
use stheno::http1::{Connection, Flushed, Turn};
use stheno::reactor::{READ_PER_TURN, Stream, WRITE_PER_TURN};
use stheno::sys;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;
use tokio::time::{Instant as TokioInstant, Sleep, sleep};

use crate::LOG;
use crate::connection_table::Permit;
use crate::local::{self, Local};
use crate::worker::{Fd, World};

/// Requests that one connection is answered in one turn: the reactor's figure.
const REQUESTS_PER_TURN: u32 = 16;

/// From how many bytes taken on a peer counts as one that reads: the reactor's figure.
const READS_WELL: u64 = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Conversation {
    world: Arc<World>,
    socket: AsyncFd<Fd<Stream>>,
    connection: Connection,
    permit: Permit,
    /// Whether the kernel holds more of it than of others: the peer has shown that it reads.
    reads_well: bool,
}

/// Why there is another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The socket may have something, or room.
    Ready,
    /// The deadline has passed.
    Timeout,
    /// Somebody wants it to drain, or to go.
    Order,
    /// The runtime ends.
    TheEnd,
}

/// What may still be done in this turn.
#[derive(Debug)]
struct Bounds {
    now: Now,
    requests: u32,
    read: usize,
    write: usize,
}

impl Bounds {
    fn new() -> Self {
        let (read, write) = (READ_PER_TURN as usize, WRITE_PER_TURN as usize);
        Self { now: Now::ask(), requests: REQUESTS_PER_TURN, read, write }
    }

    fn are_spent(&self) -> bool {
        self.requests == 0 || self.read == 0 || self.write == 0
    }
}

impl Conversation {
    pub(crate) fn new(world: Arc<World>, stream: Stream, permit: Permit) -> io::Result<Self> {
        let socket = Fd(stream).watch()?;
        Ok(Self { world, socket, connection: Connection::new(Now::ask()), permit, reads_well: false })
    }

    /// A block, not an `async fn`: that would hold what it is called on twice, as argument and as variable.
    #[allow(clippy::manual_async_fn, reason = "as said")]
    pub(crate) fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            let mut alarm = Alarm { sleep: pin!(sleep(std::time::Duration::ZERO)), at: None };
            let mut event = Event::Ready;
            while event != Event::TheEnd {
                let mut bounds = Bounds::new();
                let turn = local::with(|local| self.turn(event, &mut bounds, local));
                if let Err(error) = turn {
                    debug!(target: LOG, "{}: {error} in {}", self.permit.peer(), self.connection.state());
                    break;
                }
                if self.connection.is_closed() {
                    break;
                }
                event = if bounds.are_spent() {
                    yield_now().await;
                    Event::Ready
                } else {
                    self.next_event(&mut alarm).await
                };
            }
        }
    }

    async fn next_event(&mut self, alarm: &mut Alarm<'_>) -> Event {
        let Self { world, socket, connection, permit, .. } = self;
        let deadline = connection.deadline(&world.settings.timeouts);
        let (wants_read, wants_write) = (connection.wants_read(), connection.wants_write());
        poll_fn(|cx| {
            if permit.has_orders(cx) {
                return Poll::Ready(Event::Order);
            }
            if wants_read && let Poll::Ready(ready) = socket.poll_read_ready(cx) {
                return Poll::Ready(ready.map_or(Event::TheEnd, |_| Event::Ready));
            }
            if wants_write && let Poll::Ready(ready) = socket.poll_write_ready(cx) {
                return Poll::Ready(ready.map_or(Event::TheEnd, |_| Event::Ready));
            }
            alarm.poll(cx, deadline).map(|()| Event::Timeout)
        })
        .await
    }

    fn turn(&mut self, event: Event, bounds: &mut Bounds, local: &mut Local) -> io::Result<()> {
        match event {
            Event::Timeout => {
                debug!(target: LOG, "{}: time-out in {}", self.permit.peer(), self.connection.state());
                self.with_turn(bounds, local, |connection, turn, _| connection.handle_timeout(turn));
                if self.connection.wants_reset() {
                    sys::socket::reset_on_close(&self.socket.get_ref().0)?;
                }
                self.flush(bounds, local)?;
            }
            Event::Order => self.obey(bounds, local)?,
            Event::Ready | Event::TheEnd => {}
        }
        while self.connection.wants_read() {
            match self.recv(bounds, &mut local.scratch)? {
                None => break,
                Some(0) => self.with_turn(bounds, local, |connection, turn, _| connection.receive_eof(turn)),
                Some(count) => self.receive(count, bounds, local),
            }
            self.flush(bounds, local)?;
        }
        self.flush(bounds, local)?;
        self.permit.set_activity(&self.connection, bounds.now.monotonic);
        if local.wants_tending() {
            self.world.used.notify_one();
        }
        Ok(())
    }

    fn obey(&mut self, bounds: &mut Bounds, local: &mut Local) -> io::Result<()> {
        if self.permit.take_drain() {
            self.connection.drain(bounds.now);
        }
        let useless = self.connection.is_idle() || self.connection.is_lingering();
        // There is no room for a newcomer, and this connection has had nothing to do for longest.
        if self.permit.take_eviction() && useless {
            debug!(target: LOG, "{}: makes room in {}", self.permit.peer(), self.connection.state());
            if self.connection.is_idle() {
                self.close_if_quiet(bounds, local)?;
            } else {
                self.connection.close();
            }
        }
        self.flush(bounds, local)
    }

    /// Calls the protocol with everything it may use in this turn, and with what has been read.
    fn with_turn(
        &mut self,
        bounds: &mut Bounds,
        local: &mut Local,
        call: impl FnOnce(&mut Connection, &mut Turn<'_, FileService>, &[u8]),
    ) {
        if self.connection.output().is_empty() {
            local.lend(self.connection.output_mut());
        }
        let mut turn = Turn {
            now: bounds.now,
            settings: &self.world.settings,
            service: &local.service,
            dates: &mut local.dates,
            requests: bounds.requests,
        };
        call(&mut self.connection, &mut turn, &local.scratch);
        bounds.requests = turn.requests;
    }

    fn receive(&mut self, count: usize, bounds: &mut Bounds, local: &mut Local) {
        self.with_turn(bounds, local, |connection, turn, scratch| {
            connection.receive(&scratch[..count], turn)
        });
    }

    /// Sends what waits, and does what comes after it, as far as socket and bounds allow.
    fn flush(&mut self, bounds: &mut Bounds, local: &mut Local) -> io::Result<()> {
        // Each round answers at least one more request, or is the last: the bound on them bounds it.
        while self.connection.wants_write() {
            let sent = transmit(&self.socket, self.connection.output_mut(), bounds)?;
            if sent.bytes > 0 {
                self.connection.note_progress(bounds.now);
                self.log_exchanges(bounds.now, local, false);
                self.look_how_it_reads();
            }
            if !sent.drained {
                break;
            }
            match self.connection.flushed(bounds.now) {
                Flushed::Resume => {
                    self.with_turn(bounds, local, |connection, turn, _| connection.resume(turn));
                }
                // The peer may be gone already: then the next read will tell.
                Flushed::Shutdown => drop(self.socket.get_ref().0.shutdown_write()),
                Flushed::CloseIfQuiet => self.close_if_quiet(bounds, local)?,
                Flushed::Close => {}
            }
            if bounds.requests == 0 {
                break;
            }
        }
        local.reclaim(self.connection.output_mut());
        Ok(())
    }

    /// A client that never reads may pin little of the kernel's memory; one that reads gets room.
    fn look_how_it_reads(&mut self) {
        if !self.reads_well && self.connection.output().taken() >= READS_WELL {
            self.reads_well = true;
            // It is of no consequence but for the cost; a Unix socket has no such option.
            let _ = sys::socket::be_generous(self.socket.get_ref().0.as_fd());
        }
    }

    /// Looks once more, although nothing is known to have come.
    fn close_if_quiet(&mut self, bounds: &mut Bounds, local: &mut Local) -> io::Result<()> {
        match read(&mut self.socket.get_mut().0, &mut local.scratch) {
            Ok(0) => drop(self.connection.close()),
            Ok(count) => self.receive(count, bounds, local),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => drop(self.connection.close()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads what has come. `None`: nothing now, or this turn's bound is reached. (`Context::recv`)
    fn recv(&mut self, bounds: &mut Bounds, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        if bounds.read == 0 {
            return Ok(None);
        }
        let mut received = None;
        let result = self.socket.try_io_mut(Interest::READABLE, |stream| {
            let count = read(&mut stream.0, scratch)?;
            received = Some(count);
            bounds.read = bounds.read.saturating_sub(count);
            // Less than there was room for: there is no more, so its readiness is over, as after an EAGAIN. The
            // runtime's own sockets do so, too.
            if (1..scratch.len()).contains(&count) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        unless_it_would_block(result)?;
        Ok(received)
    }

    fn log_exchanges(&mut self, now: Now, local: &mut Local, all: bool) {
        let Some(log) = &mut local.log else {
            return;
        };
        while let Some(exchange) = self.connection.take_finished(now, all) {
            log.record(self.permit.peer(), local.dates.log(now.wall), &exchange);
        }
    }
}

/// However it ends: also when the runtime ends first, or by a panic, which costs this one task.
impl Drop for Conversation {
    fn drop(&mut self) {
        local::try_with(|local| self.log_exchanges(Now::ask(), local, true));
        if std::thread::panicking() {
            self.world.count_panic(self.permit.peer());
        }
        debug!(target: LOG, "Closed connection from {}", self.permit.peer());
    }
}

/// What [`transmit`] has done.
struct Sent {
    bytes: u64,
    drained: bool,
}

/// Sends what waits, until the queue is empty, the socket full, or the bound reached. (`reactor::transmit`)
fn transmit(socket: &AsyncFd<Fd<Stream>>, queue: &mut OutQueue, bounds: &mut Bounds) -> io::Result<Sent> {
    let before = queue.taken();
    let drained = loop {
        let Some(segment) = queue.front()? else {
            break true;
        };
        if bounds.write == 0 {
            break false;
        }
        let mut taken = None;
        let result = socket.try_io(Interest::WRITABLE, |stream| {
            let stream = stream.0.as_fd();
            let (count, is_full) = match segment {
                Segment::Bytes { bytes, more } => {
                    let count = sys::socket::send(stream, bytes, more)?;
                    (count, count < bytes.len())
                }
                // How much the kernel takes of a file says nothing about the room that is left.
                Segment::File { file, offset, len } => {
                    let most = usize::try_from(len).map_or(bounds.write, |len| len.min(bounds.write));
                    match sys::sendfile::send_file(stream, file, offset, most)? {
                        0 => {
                            let what = "the file was cut short";
                            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                        }
                        count => (count, false),
                    }
                }
            };
            taken = Some(count);
            if is_full { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        unless_it_would_block(result)?;
        let Some(count) = taken else {
            break false;
        };
        bounds.write = bounds.write.saturating_sub(count);
        queue.advance(count);
    };
    Ok(Sent { bytes: queue.taken() - before, drained })
}

fn read(stream: &mut Stream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn unless_it_would_block(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        result => result,
    }
}

/// A deadline that moves with every byte, on a timer that is moved only when it goes off too early.
struct Alarm<'a> {
    sleep: Pin<&'a mut Sleep>,
    /// What it is set to.
    at: Option<Instant>,
}

impl Alarm<'_> {
    /// Whether the deadline has passed.
    fn poll(&mut self, cx: &mut std::task::Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            if self.at.is_none_or(|at| at > deadline) {
                self.at = Some(deadline);
                let rest = deadline.saturating_duration_since(Instant::now());
                self.sleep.as_mut().reset(TokioInstant::now() + rest);
            }
            match self.sleep.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if self.at.take() == Some(deadline) => return Poll::Ready(()),
                // It was set to an earlier one.
                Poll::Ready(()) => {}
            }
        }
    }
}
