//! One channel of the loop: what is known of it, and the calls of its hooks.

use std::time::Instant;

use log::error;
use mio::{Interest, Token};

use super::dispatcher::{Context, Dispatcher};
use super::probe::{Hook, Probe, Readiness};
use super::{BYTES_PER_TURN, Core};
use crate::slab::Key;
use crate::timers::Armed;

/// One channel and what the reactor knows of it.
pub(super) struct Slot {
    pub(super) channel: Box<dyn Dispatcher>,
    pub(super) ready: Readiness,
    pub(super) budget: Budget,
    pub(super) registered: bool,
    /// Whether it is on the again list already.
    pub(super) again: bool,
    pub(super) armed: Armed,
}

/// What a channel may still move in one turn, however often it is dispatched in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    pub(super) turn: u64,
    pub(super) read: usize,
    pub(super) write: usize,
}

impl Budget {
    /// A new turn brings a new budget.
    pub(super) fn renew(&mut self, turn: u64) {
        if self.turn != turn {
            *self = Self { turn, read: BYTES_PER_TURN, write: BYTES_PER_TURN };
        }
    }
}

/// Why a channel is dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Ready,
    Timeout,
    Wake,
    Shutdown,
}

/// What a channel wants of the reactor, after its hooks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    pub(super) deadline: Option<Instant>,
    pub(super) another_turn: bool,
}

/// Everything of a dispatch that runs the channel's code; `None`: it is to be closed.
pub(super) fn call_channel<P: Probe>(
    slot: &mut Slot,
    core: &mut Core,
    probe: &mut P,
    registry: &mio::Registry,
    key: Key,
    cause: Cause,
) -> Option<Wishes> {
    slot.budget.renew(core.turn);
    let state = if P::ACTIVE { slot.channel.state() } else { "" };
    let mut context = Context::new(core, registry, key, &mut slot.ready, &mut slot.budget);
    call_hooks(&mut *slot.channel, &mut context, probe, cause);
    if context.is_closed() || (!slot.registered && !register(slot, registry, key)) {
        return None;
    }
    if P::ACTIVE && slot.channel.state() != state {
        probe.state_change(key, state, slot.channel.state());
    }
    Some(Wishes { deadline: slot.channel.deadline(), another_turn: wants_a_turn(slot) })
}

/// Whether the channel could go on at once: it stopped because its budget was spent.
fn wants_a_turn(slot: &Slot) -> bool {
    (slot.ready.readable && slot.channel.readable()) || (slot.ready.writable && slot.channel.writable())
}

fn register(slot: &mut Slot, registry: &mio::Registry, key: Key) -> bool {
    let both = Interest::READABLE | Interest::WRITABLE;
    let result = registry.register(slot.channel.socket(), Token(key.to_bits()), both);
    if let Err(error) = &result {
        error!("cannot register {key}: {error}");
    }
    slot.registered = result.is_ok();
    slot.registered
}

fn call_hooks<P: Probe>(
    channel: &mut dyn Dispatcher,
    context: &mut Context<'_>,
    probe: &mut P,
    cause: Cause,
) {
    let hook = match cause {
        Cause::Ready => None,
        Cause::Timeout => Some(Hook::Timeout),
        Cause::Wake => Some(Hook::Wake),
        Cause::Shutdown => Some(Hook::Shutdown),
    };
    if let Some(hook) = hook {
        call_hook(channel, context, probe, hook);
    }
    if !context.is_closed() && context.ready().readable && channel.readable() {
        call_hook(channel, context, probe, Hook::Read);
    }
    if !context.is_closed() && context.ready().writable && channel.writable() {
        call_hook(channel, context, probe, Hook::Write);
    }
}

fn call_hook<P: Probe>(channel: &mut dyn Dispatcher, context: &mut Context<'_>, probe: &mut P, hook: Hook) {
    probe.hook_enter(context.key(), hook);
    let result = match hook {
        Hook::Read => channel.handle_read(context),
        Hook::Write => channel.handle_write(context),
        Hook::Timeout => channel.handle_timeout(context),
        Hook::Wake => channel.handle_wake(context),
        Hook::Shutdown => channel.handle_shutdown(context),
    };
    if let Err(error) = result {
        channel.handle_error(context, &error);
    }
    probe.hook_exit(context.key(), hook);
}
