//! Calls at a later time: `call_later` and `call_every`, which asyncore never had and its descendants do
//! (pyftpdlib's `ioloop`).
//!
//! A deadline belongs to a channel and moves with every byte of it ([`super::Dispatcher::deadline`]); a call
//! belongs to nobody and comes when it was said to. To schedule one and to take one out of the heap is O(log
//! n); to cancel one is O(1), and what is left of it in the heap goes when half of the heap is such.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use log::error;

use super::dispatcher::{Context, Dispatcher};
use super::lent::Core;
use super::probe::Probe;
use super::{Reactor, TIMEOUT_PAUSE};
use crate::clock::Instant;
use crate::clock::Now;
use crate::slab::{Key, Slab};
use crate::timers::{Armed, Timers};

/// Names a call that waits. It goes stale when the call is over or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey(Key);

/// What a call reaches of its loop.
#[derive(Debug)]
pub struct CallContext<'a> {
    core: &'a mut Core,
    key: CallKey,
}

impl CallContext<'_> {
    /// The time of this turn: that of the call or later.
    #[must_use]
    pub fn now(&self) -> Now {
        self.core.now
    }

    /// The call itself: one that repeats ends when it cancels itself.
    #[must_use]
    pub fn key(&self) -> CallKey {
        self.key
    }

    /// Hands a new channel to the loop.
    pub fn adopt(&mut self, channel: impl Dispatcher + 'static) {
        self.core.adopted.push(Box::new(channel));
    }

    /// Ends the loop after this turn. (`asyncore.ExitNow`)
    pub fn stop(&mut self) {
        self.core.stopped = true;
    }

    /// As [`Reactor::call_later`], counted from [`CallContext::now`].
    pub fn call_later(
        &mut self,
        delay: Duration,
        function: impl FnOnce(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        self.core.call_later(delay, function)
    }

    /// As [`Reactor::call_every`], counted from [`CallContext::now`].
    pub fn call_every(
        &mut self,
        period: Duration,
        function: impl FnMut(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        self.core.call_every(period, function)
    }

    /// As [`Reactor::cancel`].
    pub fn cancel(&mut self, key: CallKey) -> bool {
        self.core.calls.cancel(key)
    }
}

type Function = Box<dyn FnMut(&mut CallContext<'_>)>;

struct Call {
    /// Taken out while it runs.
    function: Option<Function>,
    every: Option<Duration>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("every", &self.every).finish_non_exhaustive()
    }
}

/// The calls of a loop, by time.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Slab<Call>,
    timers: Timers,
}

impl Calls {
    /// When the loop has to look again. It may turn out to be early, never late.
    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        let keys: Vec<Key> = self.calls.keys().collect();
        for key in keys {
            self.calls.remove(key);
        }
        self.timers = Timers::default();
    }

    fn schedule(&mut self, at: Instant, every: Option<Duration>, function: Function) -> CallKey {
        let key = self.calls.insert(Call { function: Some(function), every });
        self.timers.arm(key, at, &mut Armed::default());
        CallKey(key)
    }

    pub(super) fn cancel(&mut self, CallKey(key): CallKey) -> bool {
        let was_there = self.calls.remove(key).is_some();
        self.timers.tidy(self.calls.len(), |key| self.calls.contains(key));
        was_there
    }

    /// Those whose time has come, the earliest first.
    fn take_due(&mut self, now: Instant) -> Vec<(Key, Instant)> {
        std::iter::from_fn(|| self.timers.pop_due(now)).collect()
    }

    fn put_back(&mut self, key: Key, at: Instant, now: Instant, function: Function) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        let Some(every) = call.every else {
            self.calls.remove(key);
            return;
        };
        call.function = Some(function);
        // In step with the first call; those that were missed are left out.
        let next = at + every;
        let next = if next > now { next } else { now + every };
        self.timers.arm(key, next, &mut Armed::default());
    }
}

impl Core {
    pub(super) fn call_later(
        &mut self,
        delay: Duration,
        function: impl FnOnce(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        let mut function = Some(function);
        let once = move |cx: &mut CallContext<'_>| {
            if let Some(function) = function.take() {
                function(cx);
            }
        };
        self.calls.schedule(self.now.monotonic + delay, None, Box::new(once))
    }

    pub(super) fn call_every(
        &mut self,
        period: Duration,
        function: impl FnMut(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        let period = period.max(TIMEOUT_PAUSE);
        self.calls.schedule(self.now.monotonic + period, Some(period), Box::new(function))
    }

    /// Calls what is due; what is scheduled meanwhile waits for the next turn, however soon it is due.
    /// Answers how many calls a panic has cost.
    pub(super) fn run_calls(&mut self) -> u64 {
        let now = self.now.monotonic;
        let mut panics = 0;
        for (key, at) in self.calls.take_due(now) {
            let function = self.calls.calls.get_mut(key).and_then(|call| call.function.take());
            let Some(mut function) = function else {
                continue;
            };
            let mut context = CallContext { core: self, key: CallKey(key) };
            if catch_unwind(AssertUnwindSafe(|| function(&mut context))).is_err() {
                error!("a panic in a call: it is dropped");
                panics += 1;
                self.calls.calls.remove(key);
            } else {
                self.calls.put_back(key, at, now, function);
            }
        }
        panics
    }
}

impl<P: Probe> Reactor<P> {
    /// Calls `function` once, when `delay` is over: never earlier, and as soon as the loop gets to it. A call
    /// that waits does not keep [`Reactor::run`] going. (pyftpdlib's `call_later`)
    pub fn call_later(
        &mut self,
        delay: Duration,
        function: impl FnOnce(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        self.core.now = Now::ask();
        self.core.call_later(delay, function)
    }

    /// Calls `function` every `period` (a millisecond at least), first when one is over. It keeps step: a
    /// call that comes late does not make the next one late, and what was missed is left out. (pyftpdlib's
    /// `call_every`)
    pub fn call_every(
        &mut self,
        period: Duration,
        function: impl FnMut(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        self.core.now = Now::ask();
        self.core.call_every(period, function)
    }

    /// Forgets a call; answers whether it was still to come.
    pub fn cancel(&mut self, key: CallKey) -> bool {
        self.core.calls.cancel(key)
    }
}

impl Context<'_> {
    /// As [`Reactor::call_later`], counted from [`Context::now`].
    pub fn call_later(
        &mut self,
        delay: Duration,
        function: impl FnOnce(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        self.core.call_later(delay, function)
    }

    /// As [`Reactor::call_every`], counted from [`Context::now`].
    pub fn call_every(
        &mut self,
        period: Duration,
        function: impl FnMut(&mut CallContext<'_>) + 'static,
    ) -> CallKey {
        self.core.call_every(period, function)
    }

    /// As [`Reactor::cancel`].
    pub fn cancel(&mut self, key: CallKey) -> bool {
        self.core.calls.cancel(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A loop's time, moved by hand.
    fn turn(core: &mut Core, by: Duration) -> u64 {
        core.now = core.now.after(by);
        core.run_calls()
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// 200,000 calls in a scrambled order, half of them cancelled. If one of the three cost O(n), it would
    /// not end here.
    #[test]
    fn many_calls_come_in_order_and_those_cancelled_do_not() {
        const MANY: u64 = 200_000;
        let mut core = Core::new();
        let called = Rc::<RefCell<Vec<u64>>>::default();
        let keys: Vec<(u64, CallKey)> = (0..MANY)
            .map(|number| {
                let after = number * 7919 % MANY;
                let its_called = Rc::clone(&called);
                let call = move |_: &mut CallContext<'_>| its_called.borrow_mut().push(after);
                (after, core.call_later(Duration::from_millis(after), call))
            })
            .collect();
        for (after, key) in &keys {
            assert!(after % 2 == 0 || core.calls.cancel(*key));
        }
        assert_eq!(turn(&mut core, Duration::from_millis(MANY)), 0);
        assert!(called.borrow().iter().copied().eq((0..MANY).step_by(2)), "in order");
        assert!(!core.calls.cancel(keys[0].1), "it is over");
        assert!(core.calls.next().is_none() && core.calls.calls.is_empty());
    }

    #[test]
    fn cancelled_calls_leave_nothing_behind() {
        let mut core = Core::new();
        core.call_later(SECOND, |_| ());
        for _ in 0..100_000 {
            let key = core.call_later(SECOND, |_| ());
            assert!(core.calls.cancel(key) && !core.calls.cancel(key));
            assert!(core.calls.timers.len() <= 100);
        }
    }

    #[test]
    fn a_call_that_repeats_keeps_step_and_ends_itself() {
        let mut core = Core::new();
        let called = Rc::<RefCell<Vec<Now>>>::default();
        let (start, its_called) = (core.now, Rc::clone(&called));
        core.call_every(SECOND, move |cx| {
            its_called.borrow_mut().push(cx.now());
            if its_called.borrow().len() == 4 {
                let key = cx.key();
                assert!(cx.cancel(key));
            }
        });
        // On time; late; so late that two are missed; then in step with that one.
        for at in [999, 1000, 2300, 2999, 3000, 5100, 6000, 6100, 9000] {
            let now = start.after(Duration::from_millis(at));
            core.now = now;
            core.run_calls();
        }
        let at = |now: &Now| (now.monotonic - start.monotonic).as_millis();
        assert_eq!(called.borrow().iter().map(at).collect::<Vec<_>>(), [1000, 2300, 3000, 5100]);
        assert!(core.calls.calls.is_empty());
    }

    #[test]
    fn what_a_call_schedules_waits_for_the_next_turn() {
        fn again(cx: &mut CallContext<'_>, count: Rc<RefCell<u32>>) {
            *count.borrow_mut() += 1;
            cx.call_later(Duration::ZERO, move |cx| again(cx, count));
        }
        let mut core = Core::new();
        let count = Rc::<RefCell<u32>>::default();
        let its_count = Rc::clone(&count);
        core.call_later(Duration::ZERO, move |cx| again(cx, its_count));
        core.call_every(Duration::ZERO, |_| ());
        for turns in 1..=3 {
            turn(&mut core, Duration::ZERO);
            assert_eq!(*count.borrow(), turns);
        }
    }

    #[test]
    fn a_call_cancels_one_of_the_same_turn_and_a_panic_costs_its_call_only() {
        let mut core = Core::new();
        let victim = Rc::<RefCell<Option<CallKey>>>::default();
        let its_victim = Rc::clone(&victim);
        core.call_later(SECOND, move |cx| {
            let victim = its_victim.borrow_mut().take().expect("a victim");
            assert!(cx.cancel(victim));
        });
        *victim.borrow_mut() = Some(core.call_later(2 * SECOND, |_| unreachable!("it is cancelled")));
        core.call_every(SECOND, |_| panic!("a panic on purpose"));
        assert_eq!(turn(&mut core, 3 * SECOND), 1);
        assert_eq!(turn(&mut core, 3 * SECOND), 0, "it does not repeat");
        assert!(core.calls.calls.is_empty());
    }
}
