//! What asyncore has and the server does not use: its loop over select(2) and poll(2), `dispatcher_with_send` and
//! `file_dispatcher`. For teaching, and for programs that are ported from Python.
//!
//! [`SimpleLoop`] runs the channels of [`crate::reactor`] with one of three pollers, to compare what they cost. Two of them
//! are level-triggered: every turn asks about every channel. They borrow the slab, the timers, the scheduled calls and the
//! dispatch of a [`Reactor`](crate::reactor::Reactor), and replace its turn. The third is that reactor, as the server runs
//! it. Nothing in `reactor` or `server` uses this module.

mod dispatcher_with_send;
mod file_dispatcher;
mod level_loop;
mod poll;
mod simple_loop;

pub use dispatcher_with_send::DispatcherWithSend;
pub use file_dispatcher::FileDispatcher;
pub use simple_loop::{Poller, SimpleLoop};
