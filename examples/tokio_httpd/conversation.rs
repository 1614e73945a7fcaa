//! A connection's task: a socket, and the driver of its protocol. (`server::HttpChannel`)
//!
//! ```text
//! begin:   the first turn ──► over? ──► close
//!            └────► a task ──► run
//! run:     bounds spent? ──► yield ──► turn …
//!            └────► await: readable? room? a command? the deadline? ──► turn …
//! ```
//!
//! A turn runs to its end on one thread, with what that thread has for itself. Between two turns the task may move. The
//! socket is registered, and the timer made, when the connection waits for the first time: a connection of one request
//! needs neither, and with a runtime of one thread no task either.

use std::future::{Future, poll_fn};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use log::{debug, warn};
use stheno::chat::Transport;
use stheno::clock::{Instant, Now};
use stheno::http1::Turn;
use stheno::reactor::{FRAMES_PER_TURN, READ_PER_TURN, Stream, WRITE_PER_TURN};
use stheno::server::{Driver, DriverContext, PeerInfo, log_failure};
use stheno::slab::Key;
use stheno::sys;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;
use tokio::time::{Instant as TokioInstant, Sleep, sleep_until};

use crate::LOG;
use crate::burning::Burning;
use crate::connection_table::Permit;
use crate::local::{self, Local};
use crate::worker::{World, register};

#[derive(Debug)]
pub(crate) struct Conversation {
    world: Arc<World>,
    socket: Socket,
    driver: Driver,
    permit: Permit,
}

/// A socket, and its registration with the runtime once the connection has waited.
#[derive(Debug)]
struct Socket {
    /// Dropped before the stream whose number it has.
    readiness: Option<AsyncFd<RawFd>>,
    stream: Stream,
}

/// Why there is another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The socket may have something, or room.
    Ready,
    /// The deadline has passed.
    Timeout,
    /// The server wants it to drain, or to make room.
    Command,
    /// The runtime ends.
    TheEnd,
}

/// The socket for one turn, and what may still be moved in it: the reactor's bounds.
#[derive(Debug)]
struct TaskTransport<'a> {
    socket: &'a mut Socket,
    scratch: &'a mut [u8],
    read: usize,
    write: usize,
    /// In this turn the socket had no more input, or no more room: another call would only find that again.
    is_empty: bool,
    is_full: bool,
    /// The next read asks the kernel, whatever the runtime knows.
    looks_again: bool,
}

impl Conversation {
    pub(crate) fn new(world: Arc<World>, stream: Stream, permit: Permit) -> Self {
        let socket = Socket { readiness: None, stream };
        Self { world, socket, driver: Driver::new(Now::ask()), permit }
    }

    /// Takes the first turn, and spawns a task for what is left of the connection. The caller's task accepts for all, so
    /// a panic must not end it.
    pub(crate) fn begin(mut self) {
        let begun = catch_unwind(AssertUnwindSafe(move || {
            let spent = self.take_turn(Event::Ready);
            (self, spent)
        }));
        if let Ok((conversation, spent @ Some(_))) = begun {
            tokio::spawn(conversation.run(spent));
        }
    }

    /// Takes turns until the connection is over. `spent`: whether the turn before reached a bound; `None`: there was none.
    ///
    /// A block, not an `async fn`: that would hold what it is called on twice, as argument and as variable.
    #[allow(clippy::manual_async_fn, reason = "as said")]
    pub(crate) fn run(mut self, mut spent: Option<bool>) -> impl Future<Output = ()> + Send {
        async move {
            let mut alarm = Alarm { sleep: pin!(None), at: None };
            loop {
                let event = match spent {
                    None => Event::Ready,
                    Some(true) => {
                        yield_now().await;
                        Event::Ready
                    }
                    Some(false) => poll_fn(|cx| self.poll_event(cx, &mut alarm)).await,
                };
                spent = self.take_turn(event);
                if spent.is_none() || event == Event::TheEnd {
                    break;
                }
            }
        }
    }

    /// Whether there is an event; otherwise the next one wakes the task.
    fn poll_event(&mut self, cx: &mut Context<'_>, alarm: &mut Alarm<'_>) -> Poll<Event> {
        let Self { world, socket, driver, permit } = self;
        if permit.has_commands(cx) {
            return Poll::Ready(Event::Command);
        }
        let readiness = match socket.registered() {
            Ok(readiness) => readiness,
            Err(error) => {
                warn!(target: LOG, "a connection from {} cannot be set up: {error}", permit.peer());
                return Poll::Ready(Event::TheEnd);
            }
        };
        if driver.wants_read()
            && let Poll::Ready(ready) = readiness.poll_read_ready(cx)
        {
            return Poll::Ready(ready.map_or(Event::TheEnd, |_| Event::Ready));
        }
        if driver.wants_write()
            && let Poll::Ready(ready) = readiness.poll_write_ready(cx)
        {
            return Poll::Ready(ready.map_or(Event::TheEnd, |_| Event::Ready));
        }
        alarm.poll(cx, driver.connection().deadline(&world.settings.timeouts)).map(|()| Event::Timeout)
    }

    /// Takes a turn on this thread. Returns whether a bound of the turn was reached; `None`: the connection is over.
    fn take_turn(&mut self, event: Event) -> Option<bool> {
        match local::with(|local| self.turn(event, local)) {
            Ok(spent) => (!self.driver.connection().is_closed()).then_some(spent),
            Err(error) => {
                log_failure(self.permit.peer(), self.driver.connection().state(), &error);
                None
            }
        }
    }

    /// Does what the event asks for, and what can be done beside it. Returns whether a bound of the turn was reached.
    fn turn(&mut self, event: Event, local: &mut Local) -> io::Result<bool> {
        let Self { world, socket, driver, permit } = self;
        let now = Now::ask();
        let (mut cx, scratch) = context(world, permit, now, local);
        let (read, write) = (READ_PER_TURN as usize, WRITE_PER_TURN as usize);
        let mut io = TaskTransport {
            socket,
            scratch,
            read,
            write,
            is_empty: false,
            is_full: false,
            looks_again: false,
        };
        match event {
            Event::Timeout => {
                debug!(target: LOG, "{}: time-out in {}", permit.peer(), driver.connection().state());
                driver.on_timeout(&mut io, &mut cx)?;
            }
            Event::Command => {
                if permit.take_drain() {
                    driver.drain(now);
                }
                if permit.take_eviction() {
                    debug!(target: LOG, "{}: makes room in {}", permit.peer(), driver.connection().state());
                    driver.give_way(&mut io, &mut cx)?;
                }
            }
            Event::Ready | Event::TheEnd => {}
        }
        driver.on_readable(&mut io, &mut cx)?;
        driver.flush(&mut io, &mut cx)?;
        let spent = cx.frames == 0 || io.read == 0 || io.write == 0;
        permit.set_activity(driver, now.monotonic);
        if local.wants_tending() {
            world.used.notify_one();
        }
        Ok(spent)
    }
}

/// What the driver is lent, and the buffer that the thread reads into.
fn context<'a>(
    world: &'a World,
    permit: &Permit,
    now: Now,
    local: &'a mut Local,
) -> (DriverContext<'a, Burning>, &'a mut [u8]) {
    let Local { service, dates, log, scratch, spares, wide, .. } = local;
    // A connection ends on another thread than it begins: the twin does not count them.
    *wide = 0;
    let peer = PeerInfo { peer: permit.peer(), listener: 0, connection: Key::from_bits(0), socket: -1 };
    let turn = Turn { now, settings: &world.settings, dates };
    let log = log.as_deref_mut().map(|log| log as _);
    (DriverContext { turn, service, peer, frames: FRAMES_PER_TURN, spares, wide, log }, scratch)
}

/// However it ends: also when the runtime ends first, or by a panic, which costs this one task.
impl Drop for Conversation {
    fn drop(&mut self) {
        let Self { world, driver, permit, .. } = self;
        local::try_with(|local| driver.on_close(&mut context(world, permit, Now::ask(), local).0));
        if std::thread::panicking() {
            self.world.count_panic(self.permit.peer());
        }
        debug!(target: LOG, "Closed connection from {}", self.permit.peer());
    }
}

impl Socket {
    /// Its registration with the runtime, which the first call makes.
    fn registered(&mut self) -> io::Result<&AsyncFd<RawFd>> {
        Ok(match &mut self.readiness {
            Some(readiness) => readiness,
            none => none.insert(register(self.stream.as_fd().as_raw_fd())?),
        })
    }

    /// Calls `call` unless the runtime knows that it would block. Returns whether it did or would.
    fn try_io(
        &mut self,
        interest: Interest,
        call: impl FnOnce(&mut Stream) -> io::Result<()>,
    ) -> io::Result<bool> {
        let Self { readiness, stream } = self;
        let result = match readiness {
            Some(readiness) => readiness.try_io(interest, |_| call(stream)),
            None => call(stream),
        };
        blocks(result)
    }
}

impl TaskTransport<'_> {
    /// Sends by `send`, which returns how many bytes were taken and whether the socket is full.
    fn try_send(
        &mut self,
        send: impl FnOnce(BorrowedFd<'_>, usize) -> io::Result<(usize, bool)>,
    ) -> io::Result<Option<usize>> {
        if self.write == 0 || self.is_full {
            return Ok(None);
        }
        let (mut taken, most) = (None, self.write);
        self.is_full = self.socket.try_io(Interest::WRITABLE, |stream| {
            let (count, is_full) = send(stream.as_fd(), most)?;
            taken = Some(count);
            if is_full { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        })?;
        self.write = self.write.saturating_sub(taken.unwrap_or_default());
        Ok(taken)
    }
}

impl Transport for TaskTransport<'_> {
    fn recv(&mut self) -> io::Result<Option<&[u8]>> {
        let looks_again = std::mem::take(&mut self.looks_again);
        if !looks_again && (self.read == 0 || self.is_empty) {
            return Ok(None);
        }
        let (mut received, scratch) = (None, &mut *self.scratch);
        let mut receive = |stream: &mut Stream| {
            let count = read(stream, scratch)?;
            received = Some(count);
            // Less than there was room for: there is no more, so its readiness is over, as after an EAGAIN. The
            // runtime's own sockets do so, too.
            if (1..scratch.len()).contains(&count) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        };
        self.is_empty = if looks_again {
            // Whatever the runtime knows.
            blocks(receive(&mut self.socket.stream))?
        } else {
            self.socket.try_io(Interest::READABLE, receive)?
        };
        self.read = self.read.saturating_sub(received.unwrap_or_default());
        Ok(received.map(|count| &self.scratch[..count]))
    }

    fn look_again(&mut self) {
        self.looks_again = true;
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        self.try_send(|socket, _| {
            let count = sys::socket::send(socket, bytes, more)?;
            Ok((count, count < bytes.len()))
        })
    }

    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<usize>> {
        self.try_send(|socket, most| {
            let most = usize::try_from(len).map_or(most, |len| len.min(most));
            // How much the kernel takes of a file says nothing about the room that is left.
            Ok((sys::sendfile::send_file(socket, file, offset, most)?, false))
        })
    }

    fn shutdown(&mut self) {
        // The peer may be gone already: then the next read shows it.
        let _ = self.socket.stream.shutdown_write();
    }

    fn unacknowledged(&self) -> Option<u64> {
        sys::send_queue::unacknowledged(self.socket.stream.as_fd())
    }

    fn widen(&mut self) {
        // A failure only costs memory; a Unix socket has no such option.
        let _ = sys::socket::be_generous(self.socket.stream.as_fd());
    }

    fn reset(&mut self) -> io::Result<()> {
        sys::socket::reset_on_close(&self.socket.stream)
    }
}

fn read(stream: &mut Stream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether a call would have blocked.
fn blocks(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        result => result.map(|()| false),
    }
}

/// A deadline that moves with every byte, on a timer that is made when the connection waits for the first time, and moved
/// only when it goes off too early.
struct Alarm<'a> {
    sleep: Pin<&'a mut Option<Sleep>>,
    /// What it is set to.
    at: Option<Instant>,
}

impl Alarm<'_> {
    /// Whether the deadline has passed.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            if self.at.is_none_or(|at| at > deadline) {
                self.at = Some(deadline);
                self.set(deadline);
            }
            let Some(sleep) = self.sleep.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            match sleep.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if self.at.take() == Some(deadline) => return Poll::Ready(()),
                // It was set to an earlier one.
                Poll::Ready(()) => {}
            }
        }
    }

    fn set(&mut self, deadline: Instant) {
        let at = TokioInstant::now() + deadline.saturating_duration_since(Instant::now());
        match self.sleep.as_mut().as_pin_mut() {
            Some(sleep) => sleep.reset(at),
            None => self.sleep.set(Some(sleep_until(at))),
        }
    }
}
