//! A [`Recorder`] as the probe of a reactor.

use std::net::SocketAddr;
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
}

impl Recorded {
    /// Records with `recorder`, which other code may share.
    #[must_use]
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, why: Why::default() }
    }

    /// The recorder.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }
}

impl Probe for Recorded {
    fn poll_enter(&mut self, asked: usize, timeout: Option<Duration>) {
        self.recorder.wait(asked, timeout);
    }

    fn poll_exit(&mut self, events: usize, now: Instant) {
        self.recorder.turn(events, now);
    }

    fn event(&mut self, key: Key, reported: Readiness, ready: Readiness) {
        self.recorder.event(bits(key), reported.bits(), ready.bits());
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
        let descriptor = channel.fileno();
        let peer = match channel.peer() {
            Some(Peer::Internet(peer)) => Some(peer),
            Some(Peer::Unix) => None,
            None => descriptor.and_then(socket::peer),
        };
        let number = descriptor.and_then(|descriptor| u32::try_from(descriptor.as_raw_fd()).ok());
        self.recorder.add(bits(key), channel.name(), number, peer.filter(is_known));
        let state = channel.state();
        if state != "open" {
            self.recorder.state(bits(key), "", state);
        }
    }

    fn close(&mut self, key: Key, unsent: u64, panicked: bool) {
        self.recorder.close(bits(key), unsent, panicked);
    }

    fn save(&mut self) {
        self.recorder.save();
    }

    fn finish(&mut self) {
        self.recorder.finish();
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

    fn event(&mut self, key: Key, reported: Readiness, ready: Readiness) {
        self.iter_mut().for_each(|probe| probe.event(key, reported, ready));
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
}

fn bits(key: Key) -> u64 {
    key.to_bits() as u64
}

/// Whether the system knows the address: a Unix socket has none.
fn is_known(peer: &SocketAddr) -> bool {
    peer.port() != 0
}
