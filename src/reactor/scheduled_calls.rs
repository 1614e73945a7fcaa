//! Calls at a later time: `call_later` and `call_every`, which asyncore never had and its descendants do
//! (pyftpdlib's `ioloop`).
//!
//! A scheduled call is a channel without a source: it is in the same slab as the others and its time in the same
//! timers, and its hook is `handle_timeout`. Scheduling a call is O(log n), cancelling it O(1); the timer of a
//! cancelled call is removed when half of the timers are stale.

use std::fmt;
use std::io;
use std::time::Duration;

use mio::event::Source;

use super::dispatcher::{Context, Dispatcher};
use super::loop_state::LoopState;
use super::source::NoSource;
use crate::clock::Instant;
use crate::slab::Key;

/// The shortest period of a repeated call.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

/// Names a scheduled call. It is stale once the call is over or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey(Key);

/// What schedules calls: a [`super::Reactor`], a [`crate::asyncore::SimpleLoop`], and the [`Context`] of every hook and
/// every call.
///
/// A call that waits does not keep [`super::Reactor::run`] going, and a panic in a call costs that call only.
pub trait CallLater {
    /// The state of the loop, with its time up to date.
    #[doc(hidden)]
    fn loop_state(&mut self) -> &mut LoopState<dyn Dispatcher>;

    /// Calls `function` once, `delay` after [`Context::now`] or later, never earlier. With a `delay` of zero it is
    /// called in the next turn. (pyftpdlib's `call_later`)
    fn call_later(&mut self, delay: Duration, function: impl FnOnce(&mut Context<'_>) + 'static) -> CallKey {
        let mut function = Some(function);
        let once = move |cx: &mut Context<'_>| {
            if let Some(function) = function.take() {
                function(cx);
            }
        };
        schedule(self.loop_state(), delay, None, Box::new(once))
    }

    /// Calls `function` every `period` (at least 1 ms), first when one has passed, until it is cancelled or closes its
    /// context. A late call does not delay the next one, and calls that were missed are left out. (pyftpdlib's
    /// `call_every`)
    fn call_every(&mut self, period: Duration, function: impl FnMut(&mut Context<'_>) + 'static) -> CallKey {
        let period = period.max(SHORTEST_PERIOD);
        schedule(self.loop_state(), period, Some(period), Box::new(function))
    }

    /// Cancels a call; returns whether it was still to come.
    fn cancel(&mut self, CallKey(key): CallKey) -> bool {
        self.loop_state().remove_call(key)
    }
}

impl CallLater for Context<'_> {
    fn loop_state(&mut self) -> &mut LoopState<dyn Dispatcher> {
        self.state
    }
}

type Function = Box<dyn FnMut(&mut Context<'_>)>;

fn schedule(
    state: &mut LoopState<dyn Dispatcher>,
    delay: Duration,
    every: Option<Duration>,
    function: Function,
) -> CallKey {
    let at = state.now.monotonic + delay;
    let call: Box<dyn Dispatcher> = Box::new(ScheduledCall { source: NoSource, at, every, function });
    CallKey(state.insert_call(at, call))
}

struct ScheduledCall {
    source: NoSource,
    at: Instant,
    every: Option<Duration>,
    function: Function,
}

impl fmt::Debug for ScheduledCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduledCall")
            .field("at", &self.at)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl Dispatcher for ScheduledCall {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.source
    }

    fn readable(&self) -> bool {
        false
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        (self.function)(cx);
        match self.every {
            // In step with the first call, unless a whole period was missed.
            Some(every) => {
                let now = cx.now().monotonic;
                let next = self.at + every;
                self.at = if next > now { next } else { now + every };
            }
            None => cx.close(),
        }
        Ok(())
    }

    /// The end of the channels is not the end of the calls.
    fn handle_shutdown(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::reactor::Reactor;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    /// A loop whose time is moved by hand.
    struct Bench(Reactor);

    impl CallLater for Bench {
        fn loop_state(&mut self) -> &mut LoopState<dyn Dispatcher> {
            &mut self.0.state
        }
    }

    impl Bench {
        fn new() -> Self {
            Self(Reactor::new().expect("a reactor"))
        }

        /// Runs what is due so much later; returns how many calls have panicked.
        fn turn(&mut self, by: Duration) -> u64 {
            let before = self.0.panics();
            self.0.state.now = self.0.state.now.after(by);
            self.0.handle_timers();
            self.0.panics() - before
        }

        /// Whether nothing is left of any call.
        fn is_clear(&self) -> bool {
            let state = &self.0.state;
            self.0.is_empty() && state.channels.is_empty() && state.calls == 0
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// 200,000 calls in a scrambled order, half of them cancelled. If one of the three cost O(n), it would
    /// not end here.
    #[test]
    fn many_calls_come_in_order_and_those_cancelled_do_not() {
        const MANY: u64 = 200_000;
        let mut bench = Bench::new();
        let called = Rc::<RefCell<Vec<u64>>>::default();
        let keys: Vec<(u64, CallKey)> = (0..MANY)
            .map(|number| {
                let after = number * 7919 % MANY;
                let its_called = Rc::clone(&called);
                let call = move |_: &mut Context<'_>| its_called.borrow_mut().push(after);
                (after, bench.call_later(Duration::from_millis(after), call))
            })
            .collect();
        for (after, key) in &keys {
            assert!(after % 2 == 0 || bench.cancel(*key));
        }
        assert_eq!(bench.turn(Duration::from_millis(MANY)), 0);
        assert!(called.borrow().iter().copied().eq((0..MANY).step_by(2)), "in order");
        assert!(!bench.cancel(keys[0].1), "it is over");
        assert!(bench.0.state.timers.next().is_none() && bench.is_clear());
    }

    #[test]
    fn cancelled_calls_leave_nothing_behind() {
        let mut bench = Bench::new();
        bench.call_later(SECOND, |_| ());
        for _ in 0..100_000 {
            let key = bench.call_later(SECOND, |_| ());
            assert!(bench.cancel(key) && !bench.cancel(key));
            assert!(bench.0.state.timers.len() <= 100);
        }
    }

    #[test]
    fn a_call_that_repeats_keeps_step_and_ends_itself() {
        for closes in [true, false] {
            let mut bench = Bench::new();
            let called = Rc::<RefCell<Vec<Now>>>::default();
            let key = Rc::<Cell<Option<CallKey>>>::default();
            let (start, its_called, its_key) = (bench.0.now(), Rc::clone(&called), Rc::clone(&key));
            let call = bench.call_every(SECOND, move |cx| {
                its_called.borrow_mut().push(cx.now());
                match its_called.borrow().len() {
                    4 if closes => cx.close(),
                    4 => assert!(its_key.take().is_some_and(|key| cx.cancel(key) && !cx.cancel(key))),
                    _ => {}
                }
            });
            key.set(Some(call));
            // On time; late; so late that two are missed; then in step with that one.
            for at in [999, 1000, 2300, 2999, 3000, 5100, 6000, 6100, 9000] {
                bench.turn(start.after(Duration::from_millis(at)).monotonic - bench.0.now().monotonic);
            }
            let at = |now: &Now| (now.monotonic - start.monotonic).as_millis();
            assert_eq!(called.borrow().iter().map(at).collect::<Vec<_>>(), [1000, 2300, 3000, 5100]);
            assert!(bench.is_clear() && !bench.cancel(call));
        }
    }

    #[test]
    fn what_a_call_schedules_waits_for_the_next_turn() {
        fn again(cx: &mut Context<'_>, count: Rc<RefCell<u32>>) {
            *count.borrow_mut() += 1;
            cx.call_later(Duration::ZERO, move |cx| again(cx, count));
        }
        let mut bench = Bench::new();
        let count = Rc::<RefCell<u32>>::default();
        let its_count = Rc::clone(&count);
        bench.call_later(Duration::ZERO, move |cx| again(cx, its_count));
        bench.call_every(Duration::ZERO, |_| ());
        for turns in 1..=3 {
            bench.turn(Duration::ZERO);
            assert_eq!(*count.borrow(), turns);
        }
    }

    #[test]
    fn a_call_cancels_one_of_the_same_turn_and_a_panic_costs_its_call_only() {
        let mut bench = Bench::new();
        let victim = Rc::<RefCell<Option<CallKey>>>::default();
        let its_victim = Rc::clone(&victim);
        bench.call_later(SECOND, move |cx| {
            let victim = its_victim.borrow_mut().take().expect("a victim");
            assert!(cx.cancel(victim));
        });
        *victim.borrow_mut() = Some(bench.call_later(2 * SECOND, |_| unreachable!("it is cancelled")));
        bench.call_every(SECOND, |_| panic!("a panic on purpose"));
        assert_eq!(bench.turn(3 * SECOND), 1);
        assert_eq!(bench.turn(3 * SECOND), 0, "it does not repeat");
        assert!(bench.is_clear());
    }

    #[test]
    fn calls_are_not_counted_and_outlive_a_shutdown() {
        let mut bench = Bench::new();
        let key = Rc::<Cell<Option<CallKey>>>::default();
        let its_key = Rc::clone(&key);
        key.set(Some(bench.call_later(SECOND, move |cx| {
            assert!(its_key.take().is_some_and(|key| cx.cancel(key)));
            panic!("a panic on purpose, in a call that is cancelled already");
        })));
        bench.call_later(SECOND, |_| ());
        bench.0.shutdown();
        assert!(bench.0.is_empty() && bench.0.state.calls == 2);
        bench.0.run().expect("nothing to wait for");
        assert_eq!(bench.turn(SECOND), 1);
        assert!(bench.is_clear());
        bench.call_every(SECOND, |_| ());
        bench.0.close_all();
        assert!(bench.is_clear());
    }
}
