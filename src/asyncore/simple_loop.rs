//! `asyncore.loop` with its choices: the same channels over select(2), over poll(2), and over mio.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use super::level_loop::LevelLoop;
use super::poll;
use crate::reactor::{CallLater, Dispatcher, LoopState, NoProbe, Probe, Reactor};

/// How a [`SimpleLoop`] learns which channels are ready. (asyncore's `use_poll`)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poller {
    /// select(2): asks about every channel in every turn, and takes descriptors below 1024 only.
    Select,
    /// poll(2): asks about every channel in every turn.
    Poll,
    /// mio, which is epoll or kqueue, reports the channels that are ready. The turn is [`Reactor::turn`].
    #[default]
    Mio,
}

impl Poller {
    /// All pollers.
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

/// A loop with a choice of pollers, for teaching and for small programs. Servers take [`Reactor`].
///
/// With [`Poller::Select`] and [`Poller::Poll`] it is the loop that asyncore was: a turn costs as much as there are
/// channels, however few of them are ready. With [`Poller::Mio`] it is the reactor, and a turn costs as much as there are
/// channels that are ready. The channels are the same; for the first two they need a descriptor
/// ([`Dispatcher::fileno`]).
///
/// ```
/// use std::time::Duration;
/// use stheno::asyncore::{Poller, SimpleLoop};
///
/// let mut looping = SimpleLoop::new(Poller::Poll)?;
/// // looping.add(channel)?;
/// looping.run(Duration::from_secs(30), None)?; // asyncore.loop(timeout=30.0, use_poll=True)
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SimpleLoop<P: Probe = NoProbe> {
    reactor: Reactor<P>,
    /// What replaces the turn of the reactor.
    level: Option<LevelLoop>,
}

impl<P: Probe> CallLater for SimpleLoop<P> {
    fn loop_state(&mut self) -> &mut LoopState<dyn Dispatcher> {
        self.reactor.loop_state()
    }
}

impl SimpleLoop {
    /// Returns an empty loop.
    ///
    /// # Errors
    /// As epoll_create1(2).
    pub fn new(poller: Poller) -> io::Result<Self> {
        Self::with_probe(poller, NoProbe)
    }
}

impl<P: Probe> SimpleLoop<P> {
    /// Returns an empty loop that tells `probe` what it does.
    ///
    /// # Errors
    /// As [`SimpleLoop::new`].
    pub fn with_probe(poller: Poller, probe: P) -> io::Result<Self> {
        let level = match poller {
            Poller::Select => Some(LevelLoop::new(poll::select)),
            Poller::Poll => Some(LevelLoop::new(poll::poll)),
            Poller::Mio => None,
        };
        Ok(Self { reactor: Reactor::with_probe(probe)?, level })
    }

    /// Adds a channel and dispatches it at once, as [`Reactor::add`] does. (`dispatcher.add_channel`)
    ///
    /// # Errors
    /// `Unsupported` when it has no [`Dispatcher::fileno`] and select(2) or poll(2) needs it; `InvalidInput` when
    /// select(2) does not take its descriptor. A channel that a hook hands over is then dropped, and the error logged.
    pub fn add(&mut self, channel: impl Dispatcher + 'static) -> io::Result<()> {
        match &self.level {
            Some(level) => level.add(&mut self.reactor, channel),
            None => {
                self.reactor.add(channel);
                Ok(())
            }
        }
    }

    /// How many channels there are. (`len(socket_map)`)
    #[must_use]
    pub fn len(&self) -> usize {
        self.reactor.len()
    }

    /// Whether there is no channel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reactor.is_empty()
    }

    /// Turns until no channel is left, a hook calls `stop`, or `count` turns are over; each waits at most `timeout`.
    /// (`asyncore.loop(timeout, use_poll, map, count)`)
    ///
    /// # Errors
    /// As [`SimpleLoop::turn`].
    pub fn run(&mut self, timeout: Duration, count: Option<u64>) -> io::Result<()> {
        let mut left = count.unwrap_or(u64::MAX);
        while !self.is_empty() && left > 0 && !self.reactor.is_stopped() {
            self.turn(Some(timeout))?;
            left -= 1;
        }
        self.reactor.probe().finish();
        Ok(())
    }

    /// Waits once, and calls the hooks of the channels that are ready. (`asyncore.poll`, `poll2`)
    ///
    /// # Errors
    /// As select(2), poll(2) or epoll_wait(2).
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match &mut self.level {
            Some(level) => level.turn(&mut self.reactor, timeout),
            None => self.reactor.turn(timeout),
        }
    }

    /// Closes every channel now, and cancels all scheduled calls. (`asyncore.close_all`)
    pub fn close_all(&mut self) {
        self.reactor.close_all();
    }
}
