//! A listening socket on the loop, alone or shared with other processes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use log::warn;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;

use super::accept_mode::{AcceptMode, Admission, SharedListener};
use super::accept_outcome::AcceptOutcome;
use super::batch::Batch;
use super::dispatcher::Context;
use super::exclusive::ExclusiveWatch;
use super::peer::Peer;
use super::socket::{ListenSocket, Stream};
use crate::clock::Instant;
use crate::sys::readiness;

/// How many connections are accepted at most before a listener closes: as many as its queue holds.
const MAX_REST: u32 = 4096;

/// How long accepting pauses when the system has no descriptor or no memory for a connection: the first time, and at
/// most. [`Listener::resume`] ends a pause early, when a descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a process that is ahead of the others leaves a connection to them. Sleeping processes need a tenth of it; a
/// client does not notice it.
const DEFERRAL: Duration = Duration::from_millis(2);

/// The queue of a Unix socket, whose length the kernel does not tell, is taken to be this long.
const UNKNOWN_QUEUE: usize = 8;

/// How many connections a process takes at most because the others do not come for them.
const MOST_CREDIT: u32 = 1024;

/// How often a process looks at a shared listener without a report: another process may have been woken for a connection,
/// and have been killed or stopped before it accepted it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After how many failures in a row accepting pauses, whatever they are: errors of single connections end with the queue.
const FAILURES_PER_PAUSE: u32 = 256;

/// How often a pause is logged at most.
const COMPLAINT_EVERY: Duration = Duration::from_secs(10);

/// A listening socket as a field of a dispatcher. (`dispatcher.listen`, `dispatcher.accept`)
#[derive(Debug)]
pub struct Listener {
    socket: ListenSocket,
    /// The place among the processes that share it; `None` when epoll has it as mio registers it.
    exclusive: Option<ExclusiveWatch>,
    batch: Batch,
    /// Accepts since the others were last put before this process.
    accepted: u32,
    /// Failures of accept(2) since the last success.
    failures: u32,
    rest: Option<Rest>,
    /// How long the next pause is.
    pause: Duration,
    /// When a pause was last logged.
    complained: Option<Instant>,
    credit: Credit,
    /// When it last accepted, or tried to.
    looked: Option<Instant>,
}

/// Why nothing is accepted now.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// There is no room, or accepting fails.
    Pause { until: Instant },
    /// The connections that wait are left to others.
    Deferral { until: Instant },
}

/// The connections that a process takes although it is ahead: those that it left to others, and that they did not take. The
/// number doubles with each deferral in a row that was in vain, so that processes that hang cost the others little.
#[derive(Clone, Copy, Debug, Default)]
struct Credit {
    left: u32,
    last: u32,
    /// When the last deferral ended.
    since: Option<Instant>,
}

impl Credit {
    fn grant(&mut self, now: Instant) {
        let in_a_row = self.since.is_some_and(|at| now.saturating_duration_since(at) <= 4 * DEFERRAL);
        self.last = if in_a_row { (2 * self.last).clamp(1, MOST_CREDIT) } else { 1 };
        (self.left, self.since) = (self.last, Some(now));
    }
}

impl Listener {
    /// Listens on `socket`. Where the system or its kernel has no exclusive wake-up, the socket is shared. There cannot be
    /// one Unix socket for each process: with [`AcceptMode::Reuseport`] it is exclusive.
    #[must_use]
    pub fn new(listener: impl Into<SharedListener>, mode: AcceptMode) -> Self {
        let SharedListener { socket, bell } = listener.into();
        let is_one_for_all = mode == AcceptMode::Reuseport && matches!(socket, ListenSocket::Unix(_));
        let is_exclusive = mode == AcceptMode::Exclusive || is_one_for_all;
        Self {
            socket,
            exclusive: is_exclusive.then(|| ExclusiveWatch::new(bell)),
            batch: Batch::default(),
            accepted: 0,
            failures: 0,
            rest: None,
            pause: PAUSE,
            complained: None,
            credit: Credit::default(),
            looked: None,
        }
    }

    /// Accepts a connection, if one waits and there is `room`, and calls `each` for it. Call it from `handle_read`, which
    /// the loop calls again in this turn ([`Context::call_again`]) while more connections are expected, up to the budget of
    /// frames. Room is made only when a connection does wait.
    ///
    /// Without room, when the system is out of descriptors or memory, and when accepting keeps failing, it pauses until
    /// [`Listener::deadline`], or until [`Listener::resume`] is called. So it does, for 2 ms, when other processes should
    /// have the connection.
    ///
    /// # Errors
    /// When the listener itself is broken. Errors of a single connection are skipped (accept(2)).
    pub fn accept(
        &mut self,
        cx: &mut Context<'_>,
        room: &impl Admission,
        each: impl FnOnce(&mut Context<'_>, Stream, Peer),
    ) -> io::Result<()> {
        self.looked = Some(cx.now().monotonic);
        let goes_on = self.may_accept(cx, room) && self.accept_one(cx, each)?;
        if goes_on && cx.frames_left() > 0 {
            cx.set_frames_left(cx.frames_left() - 1);
            cx.call_again();
        } else {
            self.end_batch(cx, room);
        }
        Ok(())
    }

    fn may_accept(&mut self, cx: &mut Context<'_>, room: &impl Admission) -> bool {
        if room.is_full() && !self.make_room(cx, room) {
            return false;
        }
        let Some(exclusive) = self.exclusive.as_ref().filter(|_| self.credit.left == 0) else {
            self.credit.left = self.credit.left.saturating_sub(1);
            return true;
        };
        let waiting = || self.socket.queue_length().unwrap_or(UNKNOWN_QUEUE);
        if exclusive.is_shared() && room.is_ahead(cx.now().monotonic, &waiting) {
            // A bell that was rung once is reported at each return to the list, and each look finds it: without a connection
            // to leave to others, a rest would follow a rest for ever.
            if matches!(readiness::wait_readable(self.socket.as_fd(), Some(Duration::ZERO)), Ok(false)) {
                cx.set_readable(false);
                return false;
            }
            // Not the time of this turn: it may have been a long one.
            self.rest(cx, Rest::Deferral { until: Instant::now() + DEFERRAL });
            return false;
        }
        true
    }

    /// Accepts one connection; returns whether to try another one in this turn.
    fn accept_one(
        &mut self,
        cx: &mut Context<'_>,
        each: impl FnOnce(&mut Context<'_>, Stream, Peer),
    ) -> io::Result<bool> {
        let error = match self.socket.accept() {
            Ok((stream, peer)) => {
                self.accepted += 1;
                (self.failures, self.pause) = (0, PAUSE);
                match self.socket.prepare(&stream) {
                    Ok(()) => each(cx, stream, peer),
                    Err(error) => warn!("a connection from {peer} cannot be set up: {error}"),
                }
                // Epoll reports a shared listener again, without a failing call, if more connections wait.
                return Ok(self.batch.takes_another() || self.exclusive.is_none());
            }
            Err(error) => error,
        };
        match AcceptOutcome::of(&error) {
            AcceptOutcome::NoneWaiting => {
                self.failures = 0;
                self.credit.left = 0;
                self.batch.ran_dry();
                cx.set_readable(false);
                Ok(false)
            }
            AcceptOutcome::NextOne if self.failures < FAILURES_PER_PAUSE => {
                self.failures += 1;
                Ok(true)
            }
            AcceptOutcome::NextOne | AcceptOutcome::Pause => {
                self.complain_and_pause(cx, &error);
                Ok(false)
            }
            AcceptOutcome::Broken => Err(error),
        }
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

    /// Has epoll watch an exclusive listener: for the first time after a rest, or behind other processes.
    fn end_batch(&mut self, cx: &mut Context<'_>, room: &impl Admission) {
        self.batch.end();
        let Some(exclusive) = self.exclusive.as_mut() else {
            return;
        };
        // Level-triggered: if more connections wait, the kernel reports it again, to this process or to another.
        cx.set_readable(false);
        if self.rest.is_some() {
            return;
        }
        let (registry, socket) = (cx.registry(), self.socket.as_fd());
        let moved = if self.accepted > 0 && room.goes_back(cx.now().monotonic, self.accepted) {
            self.accepted = 0;
            exclusive.move_back(registry, socket)
        } else {
            Ok(())
        };
        if let Err(error) = moved.and_then(|()| exclusive.on(registry, socket)) {
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

    /// Whether accepting pauses, for want of room or because it fails.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        matches!(self.rest, Some(Rest::Pause { .. }))
    }

    /// Whether nothing is accepted now: in a pause, and while a connection is left to other processes.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.rest.is_some()
    }

    /// When [`Listener::resume`] has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.rest {
            Some(Rest::Pause { until } | Rest::Deferral { until }) => Some(until),
            None if self.exclusive.as_ref().is_some_and(ExclusiveWatch::is_shared) => {
                self.looked.map(|at| at + LOOK_EVERY)
            }
            None => None,
        }
    }

    /// Ends a rest. Call it from `handle_timeout`, and when a descriptor has become free. `handle_read` is called in the
    /// same turn, and has the listener watched again.
    pub fn resume(&mut self, cx: &mut Context<'_>) {
        if let Some(Rest::Deferral { .. }) = self.rest.take() {
            self.credit.grant(cx.now().monotonic);
        }
        cx.set_readable(true);
    }

    /// Stops accepting for a while, for want of room.
    fn pause(&mut self, cx: &mut Context<'_>) {
        self.rest(cx, Rest::Pause { until: cx.now().monotonic + self.pause });
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.failures = 0;
    }

    /// Removes the listener from epoll for a while. With an edge trigger the event for the connections that wait now would
    /// be lost; with a level trigger it would be reported again at once. Other processes have not been woken for these
    /// connections.
    fn rest(&mut self, cx: &mut Context<'_>, rest: Rest) {
        self.rest = Some(rest);
        cx.set_readable(false);
        if let Some(exclusive) = &mut self.exclusive {
            exclusive.off(cx.registry(), self.socket.as_fd());
            exclusive.pass_on();
        }
    }

    fn complain_and_pause(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        self.pause(cx);
        let now = cx.now().monotonic;
        if self.complained.is_none_or(|at| now.saturating_duration_since(at) >= COMPLAINT_EVERY) {
            self.complained = Some(now);
            warn!("accepting pauses: {error}");
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
        if let Some(exclusive) = &mut self.exclusive {
            match exclusive.register(registry, self.socket.as_fd(), token.0) {
                // EINVAL: a kernel before 4.5.
                Err(error)
                    if error.kind() == io::ErrorKind::Unsupported
                        || Errno::from_io_error(&error) == Some(Errno::INVAL) =>
                {
                    warn!("no exclusive wake-up here ({error}): the listener is shared");
                    self.exclusive = None;
                }
                result => return result,
            }
        }
        self.socket.as_source().register(registry, token, Interest::READABLE)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.deregister(registry)?;
        self.register(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match &mut self.exclusive {
            Some(exclusive) => {
                exclusive.off(registry, self.socket.as_fd());
                Ok(())
            }
            None => self.socket.as_source().deregister(registry),
        }
    }
}
