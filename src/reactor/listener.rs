//! A listening socket on the loop, alone or shared with other processes.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use log::warn;
use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;

use super::dispatcher::Context;
use super::socket::{ListenSocket, Peer, Stream};
use crate::clock::Instant;
use crate::sys::bell::Bell;
use crate::sys::readiness;

/// How many connections are accepted in one turn, so that the other channels are not held up.
const ACCEPTS_PER_TURN: u32 = 16;

/// After how many accepts the listener is removed from epoll and added again, at the end of the kernel's list of waiting
/// processes. Without it the first worker is woken for every connection (800 of 800); with it all get their share. nginx
/// does the same.
const ACCEPTS_PER_REGISTRATION: u32 = 16;

/// How many connections are accepted at most before a listener closes: as many as its queue holds.
const MAX_REST: u32 = 4096;

/// How long accepting pauses when the system has no descriptor or no memory for a connection: the first time, and at
/// most. [`Listener::resume`] ends a pause early, when a descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// After how many failures in a row accepting pauses, whatever they are: errors of single connections end with the queue.
const FAILURES_PER_PAUSE: u32 = 256;

/// How often a pause is logged at most.
const COMPLAINT_EVERY: Duration = Duration::from_secs(10);

/// How several processes accept from one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptMode {
    /// One socket, with `EPOLLEXCLUSIVE`: a connection wakes one of the waiting processes.
    #[default]
    Exclusive,
    /// One socket, as mio registers it: a connection wakes all waiting processes, and one of them gets it.
    Shared,
    /// One socket for each process (`SO_REUSEPORT`): the kernel distributes the connections by a hash.
    Reuseport,
}

impl fmt::Display for AcceptMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
            Self::Reuseport => "reuseport",
        })
    }
}

/// Decides whether another connection is accepted. `()` accepts any number.
pub trait Admission {
    /// Whether there is no room for another connection.
    fn is_full(&self) -> bool {
        false
    }

    /// Makes room for a connection that waits; returns whether that was possible.
    fn make_room(&self) -> bool {
        true
    }
}

impl Admission for () {}

/// A listening socket, and the bell of the processes that accept from it, if there are others.
#[derive(Debug)]
pub struct SharedListener {
    /// The socket.
    pub socket: ListenSocket,
    /// Rung by a process that was woken for a connection and cannot take it.
    pub bell: Option<Bell>,
}

impl<T: Into<ListenSocket>> From<T> for SharedListener {
    fn from(socket: T) -> Self {
        Self { socket: socket.into(), bell: None }
    }
}

/// A listening socket as a field of a dispatcher. (`dispatcher.listen`, `dispatcher.accept`)
#[derive(Debug)]
pub struct Listener {
    socket: ListenSocket,
    /// The exclusive wake-up has told this process of a connection, and no other.
    bell: Option<Bell>,
    exclusive: bool,
    /// Whether the loop has registered it, so that pauses may remove it and add it again.
    registered: bool,
    /// Whether an exclusive listener is registered with epoll now.
    watched: bool,
    /// Accepts since it was added to epoll.
    accepted: u32,
    /// Failures of accept(2) since the last success.
    failures: u32,
    paused_until: Option<Instant>,
    /// How long the next pause is.
    pause: Duration,
    /// When a pause was last logged.
    complained: Option<Instant>,
}

impl Listener {
    /// Listens on `socket`. Where the system or its kernel has no exclusive wake-up, the socket is shared. There cannot be
    /// one Unix socket for each process: with [`AcceptMode::Reuseport`] it is exclusive.
    #[must_use]
    pub fn new(listener: impl Into<SharedListener>, mode: AcceptMode) -> Self {
        let SharedListener { socket, bell } = listener.into();
        let is_one_for_all = mode == AcceptMode::Reuseport && matches!(socket, ListenSocket::Unix(_));
        let exclusive = mode == AcceptMode::Exclusive || is_one_for_all;
        Self {
            socket,
            bell: bell.filter(|_| exclusive),
            exclusive,
            registered: false,
            watched: false,
            failures: 0,
            accepted: 0,
            paused_until: None,
            pause: PAUSE,
            complained: None,
        }
    }

    /// Accepts the connections that wait, at most 16 and while there is `room`, and calls `each` for every one. Call it from
    /// `handle_read`. Room is made only when a connection does wait.
    ///
    /// Without room, when the system is out of descriptors or memory, and when accepting keeps failing, it pauses until
    /// [`Listener::deadline`], or until [`Listener::resume`] is called.
    ///
    /// # Errors
    /// When the listener itself is broken. Errors of a single connection are skipped (accept(2)).
    pub fn accept(
        &mut self,
        cx: &mut Context<'_>,
        room: &impl Admission,
        mut each: impl FnMut(&mut Context<'_>, Stream, Peer),
    ) -> io::Result<()> {
        for _ in 0..ACCEPTS_PER_TURN {
            if room.is_full() && !self.make_room(cx, room) {
                break;
            }
            match self.socket.accept() {
                Ok((stream, peer)) => {
                    self.accepted += 1;
                    (self.failures, self.pause) = (0, PAUSE);
                    match self.socket.prepare(&stream) {
                        Ok(()) => each(cx, stream, peer),
                        Err(error) => warn!("a connection from {peer} cannot be set up: {error}"),
                    }
                }
                Err(error) => match AcceptOutcome::of(&error) {
                    AcceptOutcome::NoneWaiting => {
                        self.failures = 0;
                        cx.set_readable(false);
                        break;
                    }
                    AcceptOutcome::NextOne if self.failures < FAILURES_PER_PAUSE => self.failures += 1,
                    AcceptOutcome::NextOne | AcceptOutcome::Pause => {
                        self.complain_and_pause(cx, &error);
                        break;
                    }
                    AcceptOutcome::Broken => return Err(error),
                },
            }
        }
        self.watch_again(cx);
        Ok(())
    }

    /// Makes room for a connection, if one waits: another process may have taken the one that was reported, and then none
    /// has to be closed for it. Returns whether there is room; if a connection waits in vain, accepting pauses.
    fn make_room(&mut self, cx: &mut Context<'_>, room: &impl Admission) -> bool {
        match readiness::wait_readable(self.socket.as_fd(), Some(Duration::ZERO)) {
            Ok(false) => cx.set_readable(false),
            Ok(true) if room.make_room() => return true,
            Ok(true) => self.pause(cx),
            Err(error) => self.complain_and_pause(cx, &error),
        }
        false
    }

    /// Has epoll watch an exclusive listener: for the first time after a pause, or at the end of its list of processes.
    fn watch_again(&mut self, cx: &mut Context<'_>) {
        if !self.exclusive {
            return;
        }
        // Level-triggered: if more connections wait, the kernel reports it again, to this process or to another.
        cx.set_readable(false);
        if self.accepted >= ACCEPTS_PER_REGISTRATION {
            self.accepted = 0;
            self.unwatch(cx.registry());
        }
        if self.registered
            && let Err(error) = self.watch(cx.registry(), cx.key().to_bits())
        {
            // ENOSPC, ENOMEM. Until it succeeds, each end of a pause accepts the connections that wait.
            self.complain_and_pause(cx, &error);
        }
    }

    /// Accepts all connections that wait, before the listener is closed. Call it from `handle_shutdown`: connections that
    /// are in the queue when the last process closes the socket are reset.
    pub fn accept_rest(
        &mut self,
        cx: &mut Context<'_>,
        mut each: impl FnMut(&mut Context<'_>, Stream, Peer),
    ) {
        for _ in 0..MAX_REST {
            match self.socket.accept() {
                Ok((stream, peer)) => each(cx, stream, peer),
                Err(error) if AcceptOutcome::of(&error) == AcceptOutcome::NextOne => {}
                Err(_) => break,
            }
        }
    }

    /// Whether accepting pauses.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// When [`Listener::resume`] has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Ends a pause. Call it from `handle_timeout`, and when a descriptor has become free. `handle_read` is called in the
    /// same turn, and has the listener watched again.
    pub fn resume(&mut self, cx: &mut Context<'_>) {
        if self.paused_until.take().is_some() {
            cx.set_readable(true);
        }
    }

    /// Removes the listener from epoll for a while. With an edge trigger the event for the connections that wait now would
    /// be lost; with a level trigger it would be reported again at once. Other processes may have room: they have not been
    /// woken for these connections.
    fn pause(&mut self, cx: &mut Context<'_>) {
        self.paused_until = Some(cx.now().monotonic + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.failures = 0;
        cx.set_readable(false);
        self.unwatch(cx.registry());
        self.bell.iter().for_each(Bell::ring);
    }

    fn complain_and_pause(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        self.pause(cx);
        let now = cx.now().monotonic;
        if self.complained.is_none_or(|at| now.saturating_duration_since(at) >= COMPLAINT_EVERY) {
            self.complained = Some(now);
            warn!("accepting pauses: {error}");
        }
    }

    /// Adds an exclusive listener to epoll, unless it is there or pauses.
    fn watch(&mut self, registry: &Registry, token: usize) -> io::Result<()> {
        if self.exclusive && !self.watched && self.paused_until.is_none() {
            match readiness::add_exclusive(registry, self.socket.as_fd(), token) {
                // It could not be removed.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => {}
                result => result?,
            }
            self.watched = true;
        }
        Ok(())
    }

    /// Removes an exclusive listener from epoll, unless it is removed already. That fails only if it is not there.
    fn unwatch(&mut self, registry: &Registry) {
        if std::mem::take(&mut self.watched) {
            let _ = readiness::remove(registry, self.socket.as_fd());
        }
    }
}

/// What an error of accept(2) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// No connection waits.
    NoneWaiting,
    /// The connection that waited has failed; the next one may be fine.
    NextOne,
    /// The system is out of descriptors or memory.
    Pause,
    /// The listener itself is broken.
    Broken,
}

impl AcceptOutcome {
    /// Classifies an error of accept(2). Linux returns errors of the network from the next accept (RULES E12).
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN) => Self::NoneWaiting,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Pause,
            Some(Errno::INVAL | Errno::BADF | Errno::NOTSOCK) => Self::Broken,
            _ => Self::NextOne,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Source for Listener {
    fn register(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.registered = true;
        if self.exclusive {
            match self.watch(registry, token.0) {
                // EINVAL: a kernel before 4.5.
                Err(error)
                    if error.kind() == io::ErrorKind::Unsupported
                        || Errno::from_io_error(&error) == Some(Errno::INVAL) =>
                {
                    warn!("no exclusive wake-up here ({error}): the listener is shared");
                    (self.exclusive, self.bell) = (false, None);
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    let bell = self.bell.as_ref().map(AsRawFd::as_raw_fd);
                    return bell.map_or(Ok(()), |bell| {
                        SourceFd(&bell).register(registry, token, Interest::READABLE)
                    });
                }
            }
        }
        self.socket.as_source().register(registry, token, Interest::READABLE)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.deregister(registry)?;
        self.register(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        if self.exclusive {
            self.unwatch(registry);
            let bell = self.bell.as_ref().map(AsRawFd::as_raw_fd);
            return bell.map_or(Ok(()), |bell| SourceFd(&bell).deregister(registry));
        }
        self.socket.as_source().deregister(registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULES E12: each error that accept(2) names.
    #[test]
    fn verdicts() {
        for (errors, verdict) in [
            (&[Errno::AGAIN] as &[Errno], AcceptOutcome::NoneWaiting),
            (&[Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM], AcceptOutcome::Pause),
            (&[Errno::INVAL, Errno::BADF, Errno::NOTSOCK], AcceptOutcome::Broken),
            (
                &[
                    Errno::INTR,
                    Errno::CONNABORTED,
                    Errno::PROTO,
                    Errno::NETDOWN,
                    Errno::NOPROTOOPT,
                    Errno::HOSTDOWN,
                    Errno::HOSTUNREACH,
                    Errno::OPNOTSUPP,
                    Errno::NETUNREACH,
                    Errno::TIMEDOUT,
                    Errno::CONNRESET,
                    Errno::PERM,
                ],
                AcceptOutcome::NextOne,
            ),
        ] {
            for error in errors {
                assert_eq!(AcceptOutcome::of(&(*error).into()), verdict, "{error}");
            }
        }
    }
}
