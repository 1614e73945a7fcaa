//! One dispatch: the hooks that a channel is ready for, and what follows from them.

use std::any::Any;

use log::error;
use mio::{Interest, Token};

use super::dispatcher::{Context, Dispatcher};
use super::loop_state::{Channel, LoopState, Registered};
use super::probe::{Hook, Probe};
use crate::clock::Instant;
use crate::recording::{Ending, Registration};
use crate::slab::Key;

/// Why a channel is dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Ready,
    Timeout,
    Wake,
    Shutdown,
    /// Urgent data: only the loops of [`crate::asyncore`] ask for it.
    Urgent,
}

impl Cause {
    /// The hook that is called first; `None`: only those of reading and writing are.
    fn hook(self) -> Option<Hook> {
        match self {
            Self::Ready => None,
            Self::Timeout => Some(Hook::Timeout),
            Self::Wake => Some(Hook::Wake),
            Self::Shutdown => Some(Hook::Shutdown),
            Self::Urgent => Some(Hook::Expt),
        }
    }
}

/// What a channel needs of the loop after its hooks.
#[derive(Clone, Copy, Debug)]
pub(super) struct DispatchResult {
    pub(super) deadline: Option<Instant>,
    /// Whether the channel could go on at once: it stopped because its budget was spent.
    pub(super) another_turn: bool,
    /// Whether a hook has asked for another dispatch in this turn.
    pub(super) call_again: bool,
}

/// Calls the hooks of `channel`, and registers it. `None`: close it.
///
/// All code of the channel that a dispatch runs is called from here, so that the caller can catch its panics.
pub(super) fn call_channel<P: Probe>(
    channel: &mut Channel<dyn Dispatcher>,
    state: &mut LoopState<dyn Dispatcher>,
    probe: &mut P,
    registry: &mio::Registry,
    key: Key,
    cause: Cause,
) -> Option<DispatchResult> {
    channel.budget.renew(state.turn);
    let mut context = Context::new(state, registry, key, &mut channel.ready, &mut channel.budget);
    call_hooks(&mut *channel.dispatcher, &mut context, probe, cause);
    let call_again = context.call_again;
    if context.is_closed() || !register(channel, registry, probe, key) {
        return None;
    }
    let dispatcher = &*channel.dispatcher;
    let could_read = channel.ready.readable && dispatcher.readable();
    let another_turn = could_read || (channel.ready.writable && dispatcher.writable());
    Some(DispatchResult { deadline: dispatcher.deadline(), another_turn, call_again })
}

/// Has the kernel watch what the channel waits for, unless it does already. Returns whether it does.
fn register<P: Probe>(
    channel: &mut Channel<dyn Dispatcher>,
    registry: &mio::Registry,
    probe: &mut P,
    key: Key,
) -> bool {
    let (wanted, interest) = if channel.ready.writable {
        (Registered::Input, Interest::READABLE)
    } else {
        (Registered::Both, Interest::READABLE | Interest::WRITABLE)
    };
    if channel.registered >= wanted {
        return true;
    }
    let (socket, token) = (channel.dispatcher.socket(), Token(key.to_bits()));
    let result = match channel.registered {
        Registered::Nothing => registry.register(socket, token, interest),
        Registered::Input | Registered::Both => registry.reregister(socket, token, interest),
    };
    match result {
        Ok(()) => {
            if P::ACTIVE {
                let is_new = channel.registered == Registered::Nothing;
                let watch = if is_new { Registration::Register } else { Registration::Reregister };
                probe.watch(key, watch, interest.is_readable(), interest.is_writable());
            }
            channel.registered = wanted;
        }
        Err(error) => {
            error!("cannot register {key}: {error}");
            return false;
        }
    }
    true
}

fn call_hooks<P: Probe>(
    dispatcher: &mut dyn Dispatcher,
    context: &mut Context<'_>,
    probe: &mut P,
    cause: Cause,
) {
    if let Some(hook) = cause.hook() {
        call_hook(dispatcher, context, probe, hook);
    }
    if !context.is_closed() && context.ready().readable && dispatcher.readable() {
        call_hook(dispatcher, context, probe, Hook::Read);
    }
    if !context.is_closed() && context.ready().writable && dispatcher.writable() {
        call_hook(dispatcher, context, probe, Hook::Write);
    }
}

fn call_hook<P: Probe>(
    dispatcher: &mut dyn Dispatcher,
    context: &mut Context<'_>,
    probe: &mut P,
    hook: Hook,
) {
    let key = context.key();
    let (state, tally) = (if P::ACTIVE { dispatcher.state() } else { "" }, context.tally);
    probe.hook_enter(key, hook);
    let result = match hook {
        Hook::Read => dispatcher.handle_read(context),
        Hook::Write => dispatcher.handle_write(context),
        Hook::Timeout => dispatcher.handle_timeout(context),
        Hook::Wake => dispatcher.handle_wake(context),
        Hook::Shutdown => dispatcher.handle_shutdown(context),
        Hook::Expt => dispatcher.handle_expt(context),
    };
    let ending = if result.is_ok() { Ending::Returned } else { Ending::Failed };
    if let Err(error) = result {
        dispatcher.handle_error(context, &error);
    }
    if P::ACTIVE {
        let moved = context.tally.since(tally, context);
        probe.moved(key, moved);
        if moved.shut {
            probe.shutdown(key, dispatcher.unsent());
        }
        if dispatcher.state() != state {
            probe.state_change(key, state, dispatcher.state());
        }
        probe.hook_exit(key, hook, ending);
    }
}

/// What a panic says: a literal, or text that was formatted; nothing for what is neither.
pub(super) fn panic_text(payload: &dyn Any) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}
