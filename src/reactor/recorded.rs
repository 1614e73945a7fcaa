//! A [`Recorder`] as the probe of a reactor.

use std::os::fd::AsRawFd;
use std::time::Duration;

use super::dispatcher::{Dispatcher, Moved};
use super::peer::Peer;
use super::probe::{Hook, Probe};
use super::readiness::Readiness;
use crate::clock::Instant;
use crate::recording::{Ending, Recorder, Registration, Why, ready};
use crate::slab::Key;
use crate::sys::socket;

/// The probe that records.
#[derive(Clone, Debug)]
pub struct Recorded {
    recorder: Recorder,
    /// Why the next hook is called.
    why: Why,
    /// The channels that listen, and when the queue of one of them was last asked for.
    listeners: Vec<Key>,
    asked: Option<Instant>,
    /// When the turn began.
    now: Option<Instant>,
}

/// How often the kernel is asked for the length of a queue, at most.
const QUEUE_EVERY: Duration = Duration::from_millis(10);

impl Recorded {
    /// Records with `recorder`, which other code may share.
    #[must_use]
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, why: Why::default(), listeners: Vec::new(), asked: None, now: None }
    }

    /// The recorder.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Records how many connections wait for a listener.
    #[cold]
    fn ask_for_queue(&mut self, key: Key, channel: &dyn Dispatcher) {
        let is_soon =
            |asked: Instant| self.now.is_some_and(|now| now.saturating_duration_since(asked) < QUEUE_EVERY);
        if self.asked.is_some_and(is_soon) {
            return;
        }
        self.asked = self.now;
        if let Some((length, most)) = channel.fileno().and_then(|socket| socket::queue(socket).ok()) {
            self.recorder.queue(bits(key), length, most);
        }
    }
}

impl Probe for Recorded {
    fn poll_enter(&mut self, asked: usize, timeout: Option<Duration>) {
        self.recorder.wait(asked, timeout);
    }

    fn poll_exit(&mut self, events: usize, now: Instant) {
        self.now = Some(now);
        self.recorder.turn(events, now);
    }

    fn event(&mut self, key: Key, reported: u8, ready: Readiness) {
        self.recorder.event(bits(key), reported, ready.bits());
    }

    // Here the queue is at its longest: none of it was accepted in this turn yet.
    fn reported(&mut self, key: Key, channel: &dyn Dispatcher) {
        if self.listeners.contains(&key) {
            self.ask_for_queue(key, channel);
        }
    }

    fn dispatch(&mut self, _: Key, why: Why) {
        self.why = why;
    }

    fn hook_enter(&mut self, key: Key, hook: Hook) {
        self.recorder.enter_hook(bits(key), hook as u16, self.why);
    }

    fn moved(&mut self, key: Key, moved: Moved) {
        let key = bits(key);
        if let Some((bytes, result)) = moved.read {
            self.recorder.read(key, bytes, result);
        }
        if let Some((bytes, result)) = moved.written {
            self.recorder.write(key, bytes, result);
        }
    }

    fn shutdown(&mut self, key: Key, unsent: u64) {
        self.recorder.shutdown(bits(key), unsent);
    }

    fn hook_exit(&mut self, key: Key, hook: Hook, ending: Ending) {
        self.recorder.exit_hook(bits(key), hook as u16, ending);
    }

    fn panic(&mut self, key: Key) {
        self.recorder.panic(bits(key));
    }

    fn state_change(&mut self, key: Key, from: &'static str, to: &'static str) {
        self.recorder.state(bits(key), from, to);
    }

    fn watch(&mut self, key: Key, watch: Registration, read: bool, write: bool) {
        self.recorder.watch(bits(key), watch, ready::of(read, write));
    }

    fn outside(&mut self) {
        self.recorder.outside();
    }

    fn add(&mut self, key: Key, channel: &dyn Dispatcher) {
        let (descriptor, told) = (channel.fileno(), channel.peer());
        let peer = match told {
            Some(Peer::Internet(peer)) => Some(peer),
            Some(Peer::Unix) => None,
            None => descriptor.and_then(socket::peer),
        };
        if told.is_none() && peer.is_none() && descriptor.is_some_and(socket::is_listening) {
            self.listeners.push(key);
        }
        let number = descriptor.and_then(|descriptor| u32::try_from(descriptor.as_raw_fd()).ok());
        self.recorder.add(bits(key), channel.name(), number, peer);
        let state = channel.state();
        if state != "open" {
            self.recorder.state(bits(key), "", state);
        }
    }

    fn close(&mut self, key: Key, unsent: u64, panicked: bool) {
        self.listeners.retain(|listener| *listener != key);
        self.recorder.close(bits(key), unsent, panicked);
    }

    fn save(&mut self) {
        self.recorder.save();
    }

    fn finish(&mut self) {
        self.recorder.finish();
    }

    fn reports_long_turns(&self) -> bool {
        self.recorder.has_doctor()
    }
}

/// A probe that may be absent, for programs that decide when they start. The server decides at compile time.
impl<P: Probe> Probe for Option<P> {
    const ACTIVE: bool = P::ACTIVE;

    fn poll_enter(&mut self, asked: usize, timeout: Option<Duration>) {
        self.iter_mut().for_each(|probe| probe.poll_enter(asked, timeout));
    }

    fn poll_exit(&mut self, events: usize, now: Instant) {
        self.iter_mut().for_each(|probe| probe.poll_exit(events, now));
    }

    fn event(&mut self, key: Key, reported: u8, ready: Readiness) {
        self.iter_mut().for_each(|probe| probe.event(key, reported, ready));
    }

    fn reported(&mut self, key: Key, channel: &dyn Dispatcher) {
        self.iter_mut().for_each(|probe| probe.reported(key, channel));
    }

    fn dispatch(&mut self, key: Key, why: Why) {
        self.iter_mut().for_each(|probe| probe.dispatch(key, why));
    }

    fn hook_enter(&mut self, key: Key, hook: Hook) {
        self.iter_mut().for_each(|probe| probe.hook_enter(key, hook));
    }

    fn moved(&mut self, key: Key, moved: Moved) {
        self.iter_mut().for_each(|probe| probe.moved(key, moved));
    }

    fn shutdown(&mut self, key: Key, unsent: u64) {
        self.iter_mut().for_each(|probe| probe.shutdown(key, unsent));
    }

    fn hook_exit(&mut self, key: Key, hook: Hook, ending: Ending) {
        self.iter_mut().for_each(|probe| probe.hook_exit(key, hook, ending));
    }

    fn panic(&mut self, key: Key) {
        self.iter_mut().for_each(|probe| probe.panic(key));
    }

    fn state_change(&mut self, key: Key, from: &'static str, to: &'static str) {
        self.iter_mut().for_each(|probe| probe.state_change(key, from, to));
    }

    fn watch(&mut self, key: Key, watch: Registration, read: bool, write: bool) {
        self.iter_mut().for_each(|probe| probe.watch(key, watch, read, write));
    }

    fn outside(&mut self) {
        self.iter_mut().for_each(P::outside);
    }

    fn add(&mut self, key: Key, channel: &dyn Dispatcher) {
        self.iter_mut().for_each(|probe| probe.add(key, channel));
    }

    fn close(&mut self, key: Key, unsent: u64, panicked: bool) {
        self.iter_mut().for_each(|probe| probe.close(key, unsent, panicked));
    }

    fn save(&mut self) {
        self.iter_mut().for_each(P::save);
    }

    fn finish(&mut self) {
        self.iter_mut().for_each(P::finish);
    }

    fn reports_long_turns(&self) -> bool {
        self.as_ref().is_some_and(P::reports_long_turns)
    }
}

fn bits(key: Key) -> u64 {
    key.to_bits() as u64
}
