//! What the level-triggered loops of [`crate::asyncore`] borrow of a reactor: everything but its turn. The server uses
//! nothing of it.

use super::dispatch::Cause;
use super::dispatcher::Dispatcher;
use super::event_loop::Reactor;
use super::loop_state::Channel;
use super::probe::Probe;
use super::readiness::Readiness;
use crate::recording::Why;
use crate::slab::Key;

impl<P: Probe> Reactor<P> {
    /// Whether a hook has called `stop`.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.stopped
    }

    /// All channels and their keys, scheduled calls among them.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (Key, &dyn Dispatcher)> {
        self.state.channels.iter().filter_map(|(key, channel)| Some((key, &*channel.as_ref()?.dispatcher)))
    }

    /// Takes the channels that hooks have handed over.
    pub(crate) fn take_new(&mut self) -> Vec<Box<dyn Dispatcher>> {
        std::mem::take(&mut self.state.adopted)
    }

    /// As [`Reactor::add`], for a channel that is never registered.
    pub(crate) fn add_unregistered(&mut self, dispatcher: Box<dyn Dispatcher>) {
        let key = self.insert(Channel::unregistered(dispatcher));
        self.dispatch_ready(key, Readiness::ALL, Cause::Ready, Why::New);
    }

    /// Dispatches a channel that is ready for this, and for no more than this.
    pub(crate) fn dispatch_ready(&mut self, key: Key, ready: Readiness, cause: Cause, why: Why) {
        if let Some(channel) = self.state.channel(key) {
            channel.ready = ready;
            self.dispatch(key, cause, why);
        }
        // Until the kernel is asked again.
        if let Some(channel) = self.state.channel(key) {
            channel.ready = Readiness { readable: false, ..Readiness::ALL };
        }
    }
}
