//! The trait that every channel implements, and what its hooks are given: `asyncore.dispatcher`.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use log::Level;
use mio::Registry;
use mio::event::Source;

use super::loop_state::{Budget, LoopState, WRITE_PER_TURN, word};
use super::peer::Peer;
use super::readiness::Readiness;
use crate::clock::{Instant, Now};
use crate::recording::moved;
use crate::slab::Key;
use crate::sys;

/// A channel: a source that the loop watches, and the hooks that the loop calls.
///
/// The names are asyncore's. Where the meaning differs: `writable()` is false by default (Python's true made a loop
/// that never waits); a hook returns an error instead of raising it; `handle_timeout`, `handle_wake`,
/// `handle_shutdown` and `deadline` are new. `docs/DICTIONARY.md` has a row for each name.
#[allow(unused_variables, reason = "the names are the documentation")]
pub trait Dispatcher: fmt::Debug {
    /// The source that the kernel watches. (`dispatcher.socket`)
    fn socket(&mut self) -> &mut dyn Source;

    /// The descriptor, for a loop that asks the kernel by number: [`crate::asyncore::SimpleLoop`] with select(2) or
    /// poll(2). Such a loop refuses a channel that returns `None`. [`super::Reactor`] never calls it.
    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether `handle_read` is called when there is something to read. Back-pressure is applied here.
    fn readable(&self) -> bool {
        true
    }

    /// Whether `handle_write` is called when there is room in the socket buffer.
    fn writable(&self) -> bool {
        false
    }

    /// Called when there is something to read or to accept, an end of file or an error: the read returns which.
    ///
    /// Read until [`Context::recv`] returns `None`, or stop earlier: the reactor calls again.
    ///
    /// # Errors
    /// Any error; `handle_error` gets it.
    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Called when there is room to write.
    ///
    /// # Errors
    /// Any error; `handle_error` gets it.
    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Called when urgent data has arrived (`MSG_OOB`): an exceptional condition in the words of select(2). Only a
    /// [`crate::asyncore::SimpleLoop`] with select(2) or poll(2) asks the kernel for it; the reactor does not, because
    /// no protocol that is worth serving uses it.
    ///
    /// # Errors
    /// Any error; `handle_error` gets it.
    fn handle_expt(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.log_info(Level::Warn, format_args!("unhandled incoming priority event"));
        Ok(())
    }

    /// Called when the deadline has passed. Closes the channel by default.
    ///
    /// # Errors
    /// Any error; `handle_error` gets it.
    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.close();
        Ok(())
    }

    /// Called after another thread has woken this channel with [`super::Waker::wake`].
    ///
    /// # Errors
    /// Any error; `handle_error` gets it.
    fn handle_wake(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Called when the reactor shuts down: finish what is due, then close. Closes at once by default.
    ///
    /// # Errors
    /// Any error; `handle_error` gets it.
    fn handle_shutdown(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.close();
        Ok(())
    }

    /// Called when a hook has returned an error. Logs it and closes the channel by default.
    fn handle_error(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        self.log_info(Level::Debug, format_args!("{}: {error}", cx.key()));
        cx.close();
    }

    /// Takes the log lines about this channel, including those of the default hooks; passes them to the log by default.
    fn log_info(&self, level: Level, message: fmt::Arguments<'_>) {
        log::log!(level, "{message}");
    }

    /// Takes a log line about a request, as a server writes them. (`dispatcher.log`)
    fn log(&self, message: fmt::Arguments<'_>) {
        self.log_info(Level::Info, message);
    }

    /// Called last: the channel is no longer on the loop, and is dropped after this call.
    fn handle_close(&mut self, now: Now) {}

    /// When `handle_timeout` is called. The loop asks after each dispatch; moving the deadline later costs nothing.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether another process holds the same socket open: then it has to be deregistered before it is closed.
    fn is_shared(&self) -> bool {
        false
    }

    /// The name of the type, for probes, which show its last part.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// The other end, for probes. Where it is not told, they ask the kernel.
    fn peer(&self) -> Option<Peer> {
        None
    }

    /// The name of the state, for probes.
    fn state(&self) -> &'static str {
        "open"
    }

    /// Bytes that would be lost if it closed now, for probes.
    fn unsent(&self) -> u64 {
        0
    }
}

/// What hooks have read and written through their context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes, and [`moved`] bits; `None` without a call.
    pub read: Option<(u64, u8)>,
    /// As `read`.
    pub written: Option<(u64, u8)>,
    /// Whether the sending half was closed.
    pub shut: bool,
}

/// Bytes of one dispatch, as a probe needs them: the budget does not tell, because it ends at zero. Above the bytes are
/// [`ENDED`] and [`BLOCKED`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    read: u32,
    written: u32,
}

/// The peer has closed its half; in `written`: this side has.
const ENDED: u32 = 1 << 31;

/// A call would have blocked.
const BLOCKED: u32 = 1 << 30;

impl Tally {
    /// What was moved since `earlier`.
    pub(super) fn since(self, earlier: Self, cx: &Context<'_>) -> Moved {
        let (ready, budget) = (cx.ready(), *cx.budget);
        Moved {
            read: moved_since(self.read, earlier.read, ready.readable, budget.to_read()),
            written: moved_since(self.written & !ENDED, earlier.written, ready.writable, budget.to_write()),
            shut: self.written & !earlier.written & ENDED != 0,
        }
    }
}

fn moved_since(now: u32, earlier: u32, is_ready: bool, budget: usize) -> Option<(u64, u8)> {
    let bytes = |tally: u32| tally & !(ENDED | BLOCKED);
    let (count, flags) = (bytes(now) - bytes(earlier), now & !earlier & (ENDED | BLOCKED));
    let spent = if budget == 0 { moved::SPENT } else { 0 };
    let result = if flags & ENDED != 0 {
        moved::END
    } else if is_ready {
        spent
    } else {
        moved::BLOCKED
    };
    (count > 0 || flags != 0).then_some((count.into(), result))
}

/// A turn has time for sixteen pieces that a producer makes, such as rows of a listing, whose sizes are asked for one by one.
const COST_OF_A_PIECE: usize = WRITE_PER_TURN as usize / 16;

/// Access to the loop for the time of one hook: the channel's share of the turn, and everything that the loop offers.
#[derive(Debug)]
pub struct Context<'a> {
    pub(super) state: &'a mut LoopState<dyn Dispatcher>,
    registry: &'a Registry,
    key: Key,
    ready: &'a mut Readiness,
    budget: &'a mut Budget,
    closed: bool,
    pub(super) call_again: bool,
    pub(super) tally: Tally,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        state: &'a mut LoopState<dyn Dispatcher>,
        registry: &'a Registry,
        key: Key,
        ready: &'a mut Readiness,
        budget: &'a mut Budget,
    ) -> Self {
        Self {
            state,
            registry,
            key,
            ready,
            budget,
            closed: false,
            call_again: false,
            tally: Tally::default(),
        }
    }

    /// The time at which this turn began.
    #[must_use]
    pub fn now(&self) -> Now {
        self.state.now
    }

    /// The key of the channel whose hook runs.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// What the channel is ready for, as far as the loop knows.
    #[must_use]
    pub fn ready(&self) -> Readiness {
        *self.ready
    }

    /// Says whether a read may return something, for channels that make system calls of their own.
    pub fn set_readable(&mut self, readable: bool) {
        self.ready.readable = readable;
    }

    /// Whether an event has reported input since the last read; true once.
    pub(super) fn take_report(&mut self) -> bool {
        std::mem::take(&mut self.ready.reported)
    }

    /// Lets the next read ask the kernel, even when this turn's budget is spent.
    pub(super) fn look_again(&mut self) {
        self.ready.readable = true;
        self.budget.allow_read();
    }

    /// As [`Context::set_readable`], for a write. After the first `false` the kernel watches the channel for room until
    /// it closes.
    pub fn set_writable(&mut self, writable: bool) {
        self.ready.writable = writable;
    }

    /// How many frames (requests, messages) the channel may still handle in this turn; [`super::FRAMES_PER_TURN`] at
    /// its start.
    #[must_use]
    pub fn frames_left(&self) -> u32 {
        self.budget.frames()
    }

    /// Sets how many frames the channel may still handle in this turn. One that has none left stops and stays
    /// `readable()` or `writable()`, so that the next turn calls it again.
    pub fn set_frames_left(&mut self, frames: u32) {
        self.budget.set_frames(frames);
    }

    /// Closes the channel when the hook returns; ends a repeated call. (`dispatcher.close`)
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether the channel closes when the hook returns.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Has `handle_read` called once more in this turn, after the channels that were handed over have had their first
    /// dispatch. Bound it by [`Context::frames_left`].
    pub fn call_again(&mut self) {
        self.call_again = true;
    }

    /// Hands a new channel to the loop, which dispatches it in this turn.
    pub fn adopt(&mut self, channel: impl Dispatcher + 'static) {
        self.state.adopted.push(Box::new(channel));
    }

    /// Ends the loop after this turn. (`asyncore.ExitNow`)
    pub fn stop(&mut self) {
        self.state.stopped = true;
    }

    /// The registry of the loop, for sources that register in their own way.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.registry
    }

    /// Reads into a buffer that all channels of the loop share. (`dispatcher.recv`)
    ///
    /// Returns `None` when there is nothing now or this turn's budget is spent, and an empty slice when the peer has
    /// closed its half.
    ///
    /// # Errors
    /// As recv(2), except `EAGAIN` and `EINTR`.
    pub fn recv(&mut self, socket: &mut impl Read) -> io::Result<Option<&[u8]>> {
        if !self.ready.readable || self.budget.to_read() == 0 {
            return Ok(None);
        }
        loop {
            match socket.read(&mut self.state.scratch) {
                Ok(0) => {
                    self.tally.read |= ENDED;
                    self.ready.readable = false;
                    return Ok(Some(&[]));
                }
                Ok(count) => {
                    self.budget.note_read(count);
                    self.tally.read += word(count);
                    // A read that does not fill the buffer has emptied the socket, unless the end of file follows. (A
                    // read also stops before TCP urgent data; what follows that is read with the next byte.)
                    self.ready.readable = count >= self.state.scratch.len() || self.ready.read_closed;
                    return Ok(Some(&self.state.scratch[..count]));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.tally.read |= BLOCKED;
                    self.ready.readable = false;
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends bytes; with `more` the kernel may hold them back, because more follows at once. (`dispatcher.send`)
    ///
    /// Returns how many bytes the kernel took, and `None` when there is no room now or this turn's budget is spent.
    ///
    /// # Errors
    /// As send(2), except `EAGAIN` and `EINTR`.
    pub fn send(&mut self, socket: &impl AsFd, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        if !self.may_write() {
            return Ok(None);
        }
        let result = sys::socket::send(socket.as_fd(), bytes, more);
        self.note_written(result, bytes.len())
    }

    /// As [`Context::send`], for two slices in one call.
    ///
    /// # Errors
    /// As sendmsg(2), except `EAGAIN` and `EINTR`.
    pub fn send_both(
        &mut self,
        socket: &impl AsFd,
        first: &[u8],
        second: &[u8],
        more: bool,
    ) -> io::Result<Option<usize>> {
        if !self.may_write() {
            return Ok(None);
        }
        let result = sys::socket::send_both(socket.as_fd(), first, second, more);
        self.note_written(result, first.len() + second.len())
    }

    /// As [`Context::send`], with write(2), for pipes and other descriptors that are no sockets. (`file_wrapper.send`)
    ///
    /// # Errors
    /// As write(2), except `EAGAIN` and `EINTR`.
    pub fn write(&mut self, file: &mut impl Write, bytes: &[u8]) -> io::Result<Option<usize>> {
        if !self.may_write() {
            return Ok(None);
        }
        loop {
            match file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return self.note_written(result, bytes.len()),
            }
        }
    }

    /// Sends `len` bytes of `file` from `offset` on. Returns as [`Context::send`] does; `Some(0)` means that the file has
    /// ended.
    ///
    /// # Errors
    /// As sendfile(2), except `EAGAIN` and `EINTR`.
    pub fn send_file(
        &mut self,
        socket: &impl AsFd,
        file: BorrowedFd<'_>,
        offset: u64,
        len: u64,
    ) -> io::Result<Option<usize>> {
        if !self.may_write() {
            return Ok(None);
        }
        let budget = self.budget.to_write();
        let count = usize::try_from(len).map_or(budget, |len| len.min(budget));
        let result = sys::sendfile::send_file(socket.as_fd(), file, offset, count);
        // How much of a file the kernel takes does not tell how much room is left; the next call does.
        self.note_written(result, 0)
    }

    /// Whether this turn has time for another piece of a producer. It counts as [`COST_OF_A_PIECE`] bytes beside its own.
    pub(super) fn may_produce(&mut self) -> bool {
        let may = self.may_write();
        self.budget.note_written(if may { COST_OF_A_PIECE } else { 0 });
        may
    }

    /// The sending half is closed.
    pub(super) fn note_shutdown(&mut self) {
        self.tally.written |= ENDED;
    }

    fn may_write(&self) -> bool {
        self.ready.writable && self.budget.to_write() > 0
    }

    fn note_written(&mut self, result: io::Result<usize>, wanted: usize) -> io::Result<Option<usize>> {
        match result {
            Ok(count) => {
                self.budget.note_written(count);
                self.tally.written += word(count);
                self.ready.writable = count >= wanted;
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.tally.written |= BLOCKED;
                self.ready.writable = false;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
