//! `asyncore.loop` with its choices: the same channels over select(2), over poll(2), and over mio.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use super::asking::Asking;
use super::calls::{CallContext, CallKey};
use super::dispatcher::Dispatcher;
use super::lent::Core;
use super::{NoProbe, Reactor};
use crate::clock::Now;
use crate::sys::poll;

/// How a [`SimpleLoop`] learns who is ready. (asyncore's `use_poll`)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poller {
    /// select(2): asks about every channel in every turn, and takes descriptors below 1024 only.
    Select,
    /// poll(2): asks about every channel in every turn.
    Poll,
    /// mio, which is epoll or kqueue: is told of those that are ready. The loop is [`Reactor`] then.
    #[default]
    Mio,
}

impl Poller {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Select, Self::Poll, Self::Mio];
}

impl fmt::Display for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Select => "select",
            Self::Poll => "poll",
            Self::Mio => "mio",
        })
    }
}

impl FromStr for Poller {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|poller| poller.to_string() == word);
        found.ok_or_else(|| format!("'{word}' is no way to wait; use select, poll or mio"))
    }
}

/// A loop that can be compared with itself: for teaching, and for small programs. Servers take [`Reactor`].
///
/// With [`Poller::Select`] and [`Poller::Poll`] it is the loop that asyncore was. Each turn costs as much as
/// there are channels, however few of them are ready. With [`Poller::Mio`] it *is* the reactor, and a turn
/// costs as much as there are channels that are ready. The channels are the same; for the first two they have
/// to tell their descriptor ([`Dispatcher::fileno`]).
///
/// ```
/// use std::time::Duration;
/// use stheno::reactor::{Poller, SimpleLoop};
///
/// let mut looping = SimpleLoop::new(Poller::Poll)?;
/// // looping.add(channel)?;
/// looping.run(Duration::from_secs(30), None)?; // asyncore.loop(timeout=30.0, use_poll=True)
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SimpleLoop(Kind);

#[derive(Debug)]
enum Kind {
    Asks(Box<Asking>),
    IsTold(Box<Reactor<NoProbe>>),
}

impl SimpleLoop {
    /// An empty loop.
    ///
    /// # Errors
    /// As epoll_create1(2).
    pub fn new(poller: Poller) -> io::Result<Self> {
        Ok(Self(match poller {
            Poller::Select => Kind::Asks(Box::new(Asking::new(poll::select)?)),
            Poller::Poll => Kind::Asks(Box::new(Asking::new(poll::poll)?)),
            Poller::Mio => Kind::IsTold(Box::new(Reactor::new()?)),
        }))
    }

    /// Takes a channel in and calls it at once, as [`Reactor::add`] does. (`dispatcher.add_channel`)
    ///
    /// # Errors
    /// `Unsupported` when it has no [`Dispatcher::fileno`] and select(2) or poll(2) would need it;
    /// `InvalidInput` when select(2) does not take its descriptor. A channel that a hook hands over is
    /// dropped then, and logged.
    pub fn add(&mut self, channel: impl Dispatcher + 'static) -> io::Result<()> {
        match &mut self.0 {
            Kind::Asks(asking) => asking.add(Box::new(channel)),
            Kind::IsTold(reactor) => {
                reactor.add(channel);
                Ok(())
            }
        }
    }

    /// How many channels there are. (`len(socket_map)`)
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Asks(asking) => asking.len(),
            Kind::IsTold(reactor) => reactor.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Turns until no channel is left, a hook calls `stop`, or `count` turns are over; each waits `timeout`
    /// at most. (`asyncore.loop(timeout, use_poll, map, count)`)
    ///
    /// # Errors
    /// As [`SimpleLoop::turn`].
    pub fn run(&mut self, timeout: Duration, count: Option<u64>) -> io::Result<()> {
        let mut left = count.unwrap_or(u64::MAX);
        while !self.is_empty() && left > 0 && !self.is_stopped() {
            self.turn(Some(timeout))?;
            left -= 1;
        }
        Ok(())
    }

    /// Waits once, and calls the hooks of those that are ready. (`asyncore.poll`, `poll2`)
    ///
    /// # Errors
    /// As select(2), poll(2) or epoll_wait(2).
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match &mut self.0 {
            Kind::Asks(asking) => asking.turn(timeout),
            Kind::IsTold(reactor) => reactor.turn(timeout),
        }
    }

    /// Closes every channel now, and forgets the calls that wait. (`asyncore.close_all`)
    pub fn close_all(&mut self) {
        match &mut self.0 {
            Kind::Asks(asking) => asking.close_all(),
            Kind::IsTold(reactor) => reactor.close_all(),
        }
    }

    /// As [`Reactor::call_later`].
    pub fn call_later(
        &mut self,
        delay: Duration,
        function: impl FnOnce(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        let core = self.core();
        core.now = Now::ask();
        core.call_later(delay, function)
    }

    /// As [`Reactor::call_every`].
    pub fn call_every(
        &mut self,
        period: Duration,
        function: impl FnMut(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        let core = self.core();
        core.now = Now::ask();
        core.call_every(period, function)
    }

    /// As [`Reactor::cancel`].
    pub fn cancel(&mut self, key: CallKey) -> bool {
        self.core().calls.cancel(key)
    }

    fn core(&mut self) -> &mut Core {
        match &mut self.0 {
            Kind::Asks(asking) => &mut asking.core,
            Kind::IsTold(reactor) => &mut reactor.core,
        }
    }

    fn is_stopped(&self) -> bool {
        match &self.0 {
            Kind::Asks(asking) => asking.core.stopped,
            Kind::IsTold(reactor) => reactor.core.stopped,
        }
    }
}
