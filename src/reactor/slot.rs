//! One channel of the loop: what is known of it, and the calls of its hooks.

use log::error;
use mio::{Interest, Token};

use super::dispatcher::{Context, Dispatcher};
use super::lent::Core;
use super::probe::{Hook, Probe, Readiness};
use super::{FRAMES_PER_TURN, READ_PER_TURN, WRITE_PER_TURN};
use crate::clock::Instant;
use crate::slab::Key;
use crate::timers::Armed;

/// One channel and what the reactor knows of it.
pub(super) struct Slot {
    pub(super) channel: Box<dyn Dispatcher>,
    pub(super) ready: Readiness,
    pub(super) budget: Budget,
    pub(super) registered: Registered,
    /// Whether it is on the again list already.
    pub(super) again: bool,
    pub(super) armed: Armed,
}

/// What the kernel watches of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Registered {
    #[default]
    Nothing,
    /// Input alone: most answers fit into the socket, and a socket that is watched for room is reported at once,
    /// for it has room.
    Input,
    /// From the first write on that did not fit, and for good.
    Both,
}

/// What a channel may still move in one turn, however often it is dispatched in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    turn: u32,
    read: u32,
    write: u32,
    frames: u32,
}

impl Budget {
    /// A new turn brings a new budget. Turns are counted by their last bits: a channel that is dispatched again
    /// after exactly 2³² of them has what it left over then.
    pub(super) fn renew(&mut self, turn: u32) {
        if self.turn != turn {
            *self = Self { turn, read: READ_PER_TURN, write: WRITE_PER_TURN, frames: FRAMES_PER_TURN };
        }
    }

    pub(super) fn to_read(self) -> usize {
        self.read as usize
    }

    pub(super) fn to_write(self) -> usize {
        self.write as usize
    }

    pub(super) fn frames(self) -> u32 {
        self.frames
    }

    /// Takes one frame; returns `false` when none is left.
    pub(super) fn take_frame(&mut self) -> bool {
        let left = self.frames.checked_sub(1);
        self.frames = left.unwrap_or_default();
        left.is_some()
    }

    pub(super) fn note_read(&mut self, count: usize) {
        self.read = self.read.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }

    pub(super) fn note_written(&mut self, count: usize) {
        self.write = self.write.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
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
    if context.is_closed() || !register(slot, registry, key) {
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

/// Has the kernel watch what is waited for, if it does not already; answers whether it does.
fn register(slot: &mut Slot, registry: &mio::Registry, key: Key) -> bool {
    let wanted = if slot.ready.writable { Registered::Input } else { Registered::Both };
    if slot.registered >= wanted {
        return true;
    }
    let interest = match wanted {
        Registered::Both => Interest::READABLE | Interest::WRITABLE,
        Registered::Input | Registered::Nothing => Interest::READABLE,
    };
    let (socket, token) = (slot.channel.socket(), Token(key.to_bits()));
    let result = match slot.registered {
        Registered::Nothing => registry.register(socket, token, interest),
        Registered::Input | Registered::Both => registry.reregister(socket, token, interest),
    };
    if let Err(error) = &result {
        error!("cannot register {key}: {error}");
        return false;
    }
    slot.registered = wanted;
    true
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
