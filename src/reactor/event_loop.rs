//! The loop itself: waits, and dispatches what is ready.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use log::{debug, error};
use mio::{Events, Poll};

use super::dispatch::{Cause, DispatchResult, call_channel, panic_text};
use super::dispatcher::Dispatcher;
use super::late::Late;
use super::loop_state::{Channel, LoopState, Registered};
use super::probe::{NoProbe, Probe};
use super::readiness::Readiness;
use super::scheduled_calls::CallLater;
use super::waker::{self, Waker};
use crate::clock::{Instant, Now};
use crate::recording::{Registration, Why};
use crate::slab::Key;

/// How many events one call to the kernel returns. More would only make the turn longer.
const EVENTS: usize = 1024;

/// How many channels of the again list get their next share in one turn. Otherwise a hundred clients that flood the
/// server would make each turn a hundred shares long, and a new connection (16 are accepted in a turn) would wait for all
/// of them.
const AGAIN_PER_TURN: usize = 16;

/// How soon `handle_timeout` is called again after a call that did not move the deadline. Without a pause the loop would
/// never wait.
const TIMEOUT_PAUSE: Duration = Duration::from_millis(1);

/// An edge-triggered event loop over mio (epoll, kqueue).
pub struct Reactor<P: Probe = NoProbe> {
    poll: Poll,
    events: Events,
    /// Channels that stopped because their budget was spent, in the order of their turns.
    again: VecDeque<Key>,
    /// Channels that the last turn had no time for. They have their turn before all others.
    late: Late,
    waker: Waker,
    pub(super) state: LoopState<dyn Dispatcher>,
    panics: u64,
    pub(super) probe: P,
}

impl<P: Probe> std::fmt::Debug for Reactor<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("channels", &self.len()).finish_non_exhaustive()
    }
}

impl Reactor {
    /// Returns an empty reactor. Make it in the process that runs it: after a fork, parent and child would share one epoll
    /// instance and take each other's events.
    ///
    /// # Errors
    /// As epoll_create1(2) and eventfd(2).
    pub fn new() -> io::Result<Self> {
        Self::with_probe(NoProbe)
    }
}

impl<P: Probe> CallLater for Reactor<P> {
    fn loop_state(&mut self) -> &mut LoopState<dyn Dispatcher> {
        self.state.now = Now::ask();
        &mut self.state
    }
}

impl<P: Probe> Reactor<P> {
    /// Returns an empty reactor that tells `probe` what it does.
    ///
    /// # Errors
    /// As [`Reactor::new`].
    pub fn with_probe(probe: P) -> io::Result<Self> {
        let poll = Poll::new()?;
        Ok(Self {
            waker: Waker::new(poll.registry())?,
            poll,
            events: Events::with_capacity(EVENTS),
            again: VecDeque::new(),
            late: Late::new(),
            state: LoopState::new(),
            panics: 0,
            probe,
        })
    }

    /// Adds a channel, dispatches it, and registers it if it is still open afterwards. (`dispatcher.add_channel`)
    pub fn add(&mut self, channel: impl Dispatcher + 'static) {
        self.loop_state().adopted.push(Box::new(channel));
        self.probe.outside();
        self.late.begin_turn();
        self.take_adopted();
    }

    /// How many channels there are; scheduled calls are not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.channels.len() - self.state.calls
    }

    /// Whether there is no channel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A handle that wakes channels of this reactor from other threads.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The probe that this reactor tells what it does.
    pub fn probe(&mut self) -> &mut P {
        &mut self.probe
    }

    /// Frees memory that was needed for more channels than there are now.
    pub fn shrink(&mut self) {
        let LoopState { channels, timers, .. } = &mut self.state;
        channels.shrink();
        timers.shrink(|key| channels.contains(key));
        self.again.shrink_to_fit();
        self.late.shrink();
    }

    /// How many channels and scheduled calls were lost to panics so far.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics
    }

    /// How many events the last wait returned.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events.iter().count()
    }

    /// The time at which the current turn began.
    #[must_use]
    pub fn now(&self) -> Now {
        self.state.now
    }

    /// Turns until no channel is left, or until a hook calls [`super::Context::stop`]. (`asyncore.loop`)
    ///
    /// # Errors
    /// As [`Reactor::turn`].
    pub fn run(&mut self) -> io::Result<()> {
        while !self.is_empty() && !self.state.stopped {
            self.turn(None)?;
        }
        self.probe.finish();
        Ok(())
    }

    /// Calls `handle_shutdown` of every channel: finish what is due, then close. Where that takes longer than a turn may, the
    /// next turns call the rest.
    pub fn shutdown(&mut self) {
        self.state.now = Now::ask();
        self.late.begin_turn();
        let keys: Vec<Key> = self.state.channels.keys().collect();
        for key in keys {
            self.dispatch_in_time(key, Cause::Shutdown, Why::Shutdown);
        }
        self.take_adopted();
    }

    /// Closes every channel now, and cancels all scheduled calls. (`asyncore.close_all`)
    pub fn close_all(&mut self) {
        self.state.now = Now::ask();
        let keys: Vec<Key> = self.state.channels.keys().collect();
        for key in keys {
            if let Some(channel) = self.state.take(key) {
                self.close(key, channel, false);
            }
        }
    }

    /// Waits for something to happen, at most `timeout`, and calls the hooks for it. (`asyncore.poll`)
    ///
    /// # Errors
    /// As epoll_wait(2); an interrupted wait is no error.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = self.poll_timeout(timeout);
        self.probe.poll_enter(0, timeout);
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            result => result?,
        }
        self.begin_turn();
        self.late.begin_turn();
        if P::ACTIVE {
            self.probe.poll_exit(self.events.iter().count(), self.state.now.monotonic);
        }

        // Only channels that are on the list now: what they leave over waits for the next turn.
        let again: Vec<Key> = self.again.drain(..self.again.len().min(AGAIN_PER_TURN)).collect();
        self.handle_late();
        self.handle_events();
        // New channels come after the events, so that their first bytes have the longest time to arrive; but before the
        // channels that have had a share already.
        self.take_adopted();
        for key in again {
            if let Some(channel) = self.state.channel(key).filter(|channel| channel.again) {
                channel.again = false;
                self.dispatch_in_time(key, Cause::Ready, Why::Again);
            }
        }
        self.handle_timers();
        self.take_adopted();
        Ok(())
    }

    /// Dispatches the channels that are late now: each once, however many become late meanwhile.
    fn handle_late(&mut self) {
        for _ in 0..self.late.len() {
            let Some((key, cause)) = self.late.pop(self.state.now.monotonic) else {
                return;
            };
            if let Some(channel) = self.state.channel(key).filter(|_| cause == Cause::Ready) {
                channel.again = false;
            }
            if cause != Cause::Timeout || self.is_due(key) {
                self.dispatch(key, cause, Why::Late);
            }
        }
    }

    /// Dispatches a channel if the turn has time for it. Otherwise the channel is late, and keeps its readiness: what the
    /// kernel has reported once, it does not report again.
    fn dispatch_in_time(&mut self, key: Key, cause: Cause, why: Why) {
        if self.late.is_over(self.state.now.monotonic) {
            self.dispatch_late(key, cause);
        } else {
            self.dispatch(key, cause, why);
        }
    }

    #[cold]
    fn dispatch_late(&mut self, key: Key, cause: Cause) {
        if let Some(channel) = self.state.channel(key) {
            channel.again |= cause == Cause::Ready;
            self.late.push(key, cause);
        }
    }

    fn handle_events(&mut self) {
        // Moved out for the time of the loop: the hooks need the rest of the reactor.
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == waker::TOKEN {
                for key in self.waker.take() {
                    self.dispatch_in_time(key, Cause::Wake, Why::Wake);
                }
                continue;
            }
            let key = Key::from_bits(event.token().0);
            let Some(channel) = self.state.channel(key) else {
                debug!("an event for {key}, which is closed");
                continue;
            };
            channel.ready.note(event);
            if P::ACTIVE {
                self.probe.event(key, Readiness::bits_of(event), channel.ready);
                self.probe.reported(key, &*channel.dispatcher);
            }
            // A channel that is late or on the again list has a turn coming: an event does not give it a second one.
            if channel.again {
                // What it reads first may be younger than the event.
                channel.ready.reported = false;
            } else {
                self.dispatch_in_time(key, Cause::Ready, Why::Event);
            }
        }
        self.events = events;
    }

    /// How long to wait: until the next timer, at most `timeout`, and not at all while channels are late or on the again
    /// list.
    pub(crate) fn poll_timeout(&self, timeout: Option<Duration>) -> Option<Duration> {
        if !self.again.is_empty() || self.late.len() > 0 {
            return Some(Duration::ZERO);
        }
        let until_timer = self.state.timers.next().map(|at| at.saturating_duration_since(Instant::now()));
        timeout.into_iter().chain(until_timer).min()
    }

    pub(crate) fn begin_turn(&mut self) {
        self.state.now = Now::ask();
        self.state.turn = self.state.turn.wrapping_add(1);
        self.late.begin_endless_turn();
    }

    /// Calls `handle_timeout` of the channels whose deadline has passed, and the scheduled calls that are due.
    pub(crate) fn handle_timers(&mut self) {
        let now = self.state.now.monotonic;
        // All of them before the first hook: what a hook schedules waits for the next turn, however soon it is due.
        let due: Vec<(Key, Instant)> = std::iter::from_fn(|| self.state.timers.pop_due(now)).collect();
        for (key, at) in due {
            let Some(Some(channel)) = self.state.channels.get_mut(key) else {
                continue;
            };
            let why = if channel.is_call { Why::Call } else { Why::Deadline };
            if channel.armed.fired(at) && self.is_due(key) {
                self.dispatch_in_time(key, Cause::Timeout, why);
            }
        }
        self.state.tidy_timers();
    }

    /// Whether the deadline of a channel has passed. One that has moved is armed again.
    fn is_due(&mut self, key: Key) -> bool {
        let LoopState { now, channels, timers, .. } = &mut self.state;
        let Some(Some(channel)) = channels.get_mut(key) else {
            return false;
        };
        let Some(deadline) = channel.dispatcher.deadline() else {
            return false;
        };
        let is_due = deadline <= now.monotonic;
        if !is_due {
            timers.arm(key, deadline, &mut channel.armed);
        }
        is_due
    }

    /// Dispatches every new channel, and those that they hand over in turn.
    fn take_adopted(&mut self) {
        while !self.state.adopted.is_empty() {
            for dispatcher in std::mem::take(&mut self.state.adopted) {
                let key = self.insert(Channel::new(dispatcher));
                self.dispatch_in_time(key, Cause::Ready, Why::New);
            }
        }
    }

    pub(super) fn insert(&mut self, channel: Channel<dyn Dispatcher>) -> Key {
        let key = self.state.channels.insert(Some(channel));
        if P::ACTIVE
            && let Some(channel) = self.state.channel(key)
        {
            self.probe.add(key, &*channel.dispatcher);
        }
        key
    }

    /// Dispatches one channel, and once more each time that it asks for it: a listener does so after each connection,
    /// which has its first dispatch before the next one is accepted.
    pub(super) fn dispatch(&mut self, key: Key, cause: Cause, why: Why) {
        self.probe.dispatch(key, why);
        let mut cause = cause;
        while self.dispatch_once(key, cause) {
            self.take_adopted();
            self.probe.dispatch(key, Why::Again);
            cause = Cause::Ready;
        }
    }

    /// Calls the hooks that one channel is ready for. Then closes it, or sees to its registration, its deadline and its
    /// place on the again list. Returns whether it asks for another dispatch in this turn.
    fn dispatch_once(&mut self, key: Key, cause: Cause) -> bool {
        // Out of the slab for the time of its hooks, which may add and remove other channels.
        let Some(mut channel) = self.state.take(key) else {
            return false;
        };
        let (state, probe, registry) = (&mut self.state, &mut self.probe, self.poll.registry());
        let call = AssertUnwindSafe(|| call_channel(&mut channel, state, probe, registry, key, cause));
        match catch_unwind(call) {
            Ok(Some(result)) => self.keep(key, channel, cause, result),
            Ok(None) => {
                self.close(key, channel, false);
                false
            }
            Err(text) => {
                self.probe.panic(key);
                self.panics += 1;
                let text = panic_text(&*text);
                error!(
                    "a panic in the handling of {key}: {text}: the channel is dropped ({} so far)",
                    self.panics
                );
                self.close(key, channel, true);
                false
            }
        }
    }

    /// Puts a channel back after its hooks, and sees to what they have left to do.
    fn keep(
        &mut self,
        key: Key,
        channel: Channel<dyn Dispatcher>,
        cause: Cause,
        result: DispatchResult,
    ) -> bool {
        let now = self.state.now.monotonic;
        let Some(entry) = self.state.channels.get_mut(key) else {
            // A call that has cancelled itself.
            self.close(key, channel, false);
            return false;
        };
        let channel = entry.insert(channel);
        if let Some(deadline) = result.deadline {
            let was_told = cause == Cause::Timeout && deadline <= now;
            let at = if was_told { now + TIMEOUT_PAUSE } else { deadline };
            self.state.timers.arm(key, at, &mut channel.armed);
        }
        if channel.again || !result.another_turn {
            return false;
        }
        if result.call_again && !self.late.is_over(now) {
            return true;
        }
        channel.again = true;
        // A listener comes first: new connections do not queue after channels that have much to do.
        if channel.dispatcher.is_shared() {
            self.again.push_front(key);
        } else {
            self.again.push_back(key);
        }
        false
    }

    /// Removes the entry of a channel that was taken out of it, and drops the channel.
    fn close(&mut self, key: Key, mut channel: Channel<dyn Dispatcher>, panicked: bool) {
        let had_entry = self.state.channels.remove(key).is_some();
        self.state.calls -= usize::from(had_entry && channel.is_call);
        let (now, probe, registry) = (self.state.now, &mut self.probe, self.poll.registry());
        let call = AssertUnwindSafe(move || {
            if P::ACTIVE && !channel.is_call {
                probe.close(key, channel.dispatcher.unsent(), panicked);
            }
            // The kernel forgets a descriptor when it is closed, unless another process holds the same socket open;
            // then its events would never end.
            if channel.registered > Registered::Nothing && channel.dispatcher.is_shared() {
                let _ = registry.deregister(channel.dispatcher.socket());
                probe.watch(key, Registration::Deregister, false, false);
            }
            if !panicked {
                channel.dispatcher.handle_close(now);
            }
        });
        if catch_unwind(call).is_err() {
            error!("a panic at the close of {key}");
        }
    }
}
