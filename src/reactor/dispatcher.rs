//! The trait that everything on the loop implements: `asyncore.dispatcher`.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use log::Level;
use mio::Registry;
use mio::event::Source;

use super::lent::Core;
use super::{Budget, Readiness};
use crate::clock::{Instant, Now};
use crate::slab::Key;
use crate::sys;

/// Something that the loop watches, and the hooks it is called by.
///
/// The names are asyncore's. Where the meaning differs: `writable()` is false by default (Python's true
/// made a loop that never waits); a hook answers with a result instead of raising; `handle_timeout`,
/// `handle_wake`, `handle_shutdown` and `deadline` are new. All of them, name by name: `docs/DICTIONARY.md`.
#[allow(unused_variables, reason = "the names are the documentation")]
pub trait Dispatcher: fmt::Debug {
    /// What the kernel watches. (`dispatcher.socket`)
    fn socket(&mut self) -> &mut dyn Source;

    /// Its descriptor, for a loop that asks the kernel by number: [`super::SimpleLoop`] with select(2) or
    /// poll(2). `None`: such a loop does not take this channel. ([`super::Reactor`] never asks.)
    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether `handle_read` should be called when there is something to read. This is where
    /// back-pressure is said.
    fn readable(&self) -> bool {
        true
    }

    /// Whether `handle_write` should be called when there is room.
    fn writable(&self) -> bool {
        false
    }

    /// There is something to read, or to accept, or the end, or an error: the read will tell.
    ///
    /// Read until [`Context::recv`] says `None`, or stop earlier: the reactor calls again.
    ///
    /// # Errors
    /// Anything; `handle_error` gets it.
    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// There is room to write.
    ///
    /// # Errors
    /// Anything; `handle_error` gets it.
    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Urgent data has come (`MSG_OOB`): an exceptional condition in the words of select(2). Only a
    /// [`super::SimpleLoop`] with select(2) or poll(2) asks for it; epoll is not asked, for no protocol that
    /// is worth serving uses it.
    ///
    /// # Errors
    /// Anything; `handle_error` gets it.
    fn handle_expt(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.log_info(Level::Warn, format_args!("unhandled incoming priority event"));
        Ok(())
    }

    /// The deadline has passed.
    ///
    /// # Errors
    /// Anything; `handle_error` gets it.
    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.close();
        Ok(())
    }

    /// Another thread has asked for this channel with [`super::Waker::wake`].
    ///
    /// # Errors
    /// Anything; `handle_error` gets it.
    fn handle_wake(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// The reactor is shutting down: finish, and close.
    ///
    /// # Errors
    /// Anything; `handle_error` gets it.
    fn handle_shutdown(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.close();
        Ok(())
    }

    /// A hook has failed.
    fn handle_error(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        self.log_info(Level::Debug, format_args!("{}: {error}", cx.key()));
        cx.close();
    }

    /// Where lines about this channel go, those of the loop's default hooks among them; to the log if it is
    /// not overridden.
    fn log_info(&self, level: Level, message: fmt::Arguments<'_>) {
        log::log!(level, "{message}");
    }

    /// A line about a hit, as a server logs them. (`dispatcher.log`)
    fn log(&self, message: fmt::Arguments<'_>) {
        self.log_info(Level::Info, message);
    }

    /// The last call: the channel has been taken out of the reactor and is dropped after it.
    fn handle_close(&mut self, now: Now) {}

    /// When `handle_timeout` is to be called. Asked after every hook; moving it later costs nothing.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether another process holds the same socket open, so that it has to be deregistered before it is
    /// closed.
    fn is_shared(&self) -> bool {
        false
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

/// What the reactor lends a hook while it runs.
#[derive(Debug)]
pub struct Context<'a> {
    pub(super) core: &'a mut Core,
    registry: &'a Registry,
    key: Key,
    ready: &'a mut Readiness,
    budget: &'a mut Budget,
    closed: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        core: &'a mut Core,
        registry: &'a Registry,
        key: Key,
        ready: &'a mut Readiness,
        budget: &'a mut Budget,
    ) -> Self {
        Self { core, registry, key, ready, budget, closed: false }
    }

    /// The time of this turn.
    #[must_use]
    pub fn now(&self) -> Now {
        self.core.now
    }

    /// The key of the channel whose hook this is.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// What the channel is ready for, as far as is known.
    #[must_use]
    pub fn ready(&self) -> Readiness {
        *self.ready
    }

    /// Sets what the channel is ready for: for channels that make calls of their own.
    pub fn set_readable(&mut self, readable: bool) {
        self.ready.readable = readable;
    }

    /// As [`Context::set_readable`]. A channel that has said `false` once is watched for room from then on.
    pub fn set_writable(&mut self, writable: bool) {
        self.ready.writable = writable;
    }

    /// How many frames (requests, messages) the channel may still handle in this turn; [`super::FRAMES_PER_TURN`] at
    /// its start.
    #[must_use]
    pub fn frames_left(&self) -> u32 {
        self.budget.frames()
    }

    /// Takes one of this turn's frames; returns `false` when they are spent. The channel then stops and stays
    /// `readable()` or `writable()`, so that the next turn calls it again.
    pub fn take_frame(&mut self) -> bool {
        self.budget.take_frame()
    }

    /// Closes the channel when the hook returns. (`dispatcher.close`)
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether the channel is to be closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Hands a new channel to the reactor.
    pub fn adopt(&mut self, channel: impl Dispatcher + 'static) {
        self.core.adopted.push(Box::new(channel));
    }

    /// Ends [`super::Reactor::run`] after this turn. (`asyncore.ExitNow`)
    pub fn stop(&mut self) {
        self.core.stopped = true;
    }

    /// The registry, for sources that register in their own way.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.registry
    }

    /// Reads what has come, into a buffer that all channels share. (`dispatcher.recv`)
    ///
    /// `None`: nothing now, or this turn's budget is spent. Empty: the peer has closed its half.
    ///
    /// # Errors
    /// As recv(2), but for those that are no failure.
    pub fn recv(&mut self, socket: &mut impl Read) -> io::Result<Option<&[u8]>> {
        if !self.ready.readable || self.budget.to_read() == 0 {
            return Ok(None);
        }
        loop {
            match socket.read(&mut self.core.scratch) {
                Ok(count) => {
                    self.budget.note_read(count);
                    // Less than there was room for: there is no more, unless the end stands behind it. (A
                    // read also stops short at TCP urgent data; who sends that waits for his next byte.)
                    let drained = count < self.core.scratch.len() && !self.ready.read_closed;
                    self.ready.readable = count > 0 && !drained;
                    return Ok(Some(&self.core.scratch[..count]));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready.readable = false;
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends bytes; `more` says that more follows at once. (`dispatcher.send`)
    ///
    /// Answers how many were taken. `None`: no room now, or this turn's budget is spent.
    ///
    /// # Errors
    /// As send(2), but for those that are no failure.
    pub fn send(&mut self, socket: &impl AsFd, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        if !self.may_write() {
            return Ok(None);
        }
        let result = sys::socket::send(socket.as_fd(), bytes, more);
        self.note_written(result, bytes.len())
    }

    /// As [`Context::send`], with write(2): for pipes and everything else that is no socket.
    /// (`file_wrapper.send`)
    ///
    /// # Errors
    /// As write(2), but for those that are no failure.
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

    /// Sends a stretch of a file. As [`Context::send`]; `Some(0)` says that the file has ended.
    ///
    /// # Errors
    /// As sendfile(2), but for those that are no failure.
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
        // How much the kernel takes of a file says nothing about the room that is left; the next call does.
        self.note_written(result, 0)
    }

    fn may_write(&self) -> bool {
        self.ready.writable && self.budget.to_write() > 0
    }

    fn note_written(&mut self, result: io::Result<usize>, wanted: usize) -> io::Result<Option<usize>> {
        match result {
            Ok(count) => {
                self.budget.note_written(count);
                self.ready.writable = count >= wanted;
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready.writable = false;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
