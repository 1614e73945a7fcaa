//! The event loop: `asyncore.loop`, edge-triggered.
//!
//! ```text
//!         ┌──────────────────────────── turn ─────────────────────────────┐
//!         │ poll ──► events and wakes ──► again list ──► timers and calls │
//!         └───┬───────────────────────────────────────────────────────────┘
//!             ▼ dispatch(key)
//!         slab[key] ──► handle_read / handle_write / handle_timeout / …
//! ```
//!
//! [`Reactor::turn`] waits once and calls the hooks of every [`Dispatcher`] that is ready; [`Reactor::run`] turns until no
//! channel is left. This is the loop of the server, and the only one that it uses. [`crate::asyncore::SimpleLoop`], for
//! teaching, runs the same channels over select(2) and poll(2), to show what it costs to ask about every channel; it
//! borrows the slab, the timers and the dispatch of this loop (all that it needs is in `level.rs`), and this loop knows
//! nothing of it.
//!
//! **Edge-triggered.** asyncore asked the kernel about every socket in every turn. Here a channel is registered once for
//! reading, and once more if a write ever does not fit; the kernel reports each *change* once. The reactor keeps it in two
//! bits per channel until a call would block. So a hook may stop early, because its budget is spent: the channel goes on
//! the *again* list, the next turn does not wait, and the first channels on the list go on in it. A hook must not return
//! with input unread and the bit cleared: no further event would come.
//!
//! **The end of a turn by time.** After 50 ms of dispatches, the channels that are left wait for the next turn, with their
//! readiness, and come first in it, in their order. So accepting, timers and the master's look at a worker never wait for
//! a thousand slow responses.
//!
//! **Stale events.** A token carries the generation of its slab entry. An event for a channel that was closed earlier in
//! the same turn finds nothing.
//!
//! **Register late.** A new channel ([`Context::adopt`]) is dispatched at once, as if it were ready, and registered only if
//! it is still open afterwards. A connection that asks, is answered and closes never meets epoll.
//!
//! **Panics** are caught here: a panic costs one channel, never the loop.
//!
//! ```no_run
//! use stheno::reactor::Reactor;
//! let mut reactor = Reactor::new()?;
//! // reactor.add(channel);
//! reactor.run()?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod accept_mode;
mod accept_outcome;
mod batch;
mod chat_channel;
mod dispatch;
mod dispatcher;
mod event_loop;
mod exclusive;
mod late;
mod level;
mod listener;
mod loop_state;
mod peer;
mod probe;
mod readiness;
mod recorded;
mod scheduled_calls;
mod socket;
mod source;
mod waker;

pub use accept_mode::{ACCEPTS_PER_PLACE, AcceptMode, Admission, SharedListener};
pub use accept_outcome::AcceptOutcome;
pub use chat_channel::ChatChannel;
pub(crate) use dispatch::Cause;
pub use dispatcher::{Context, Dispatcher, Moved};
pub use event_loop::Reactor;
pub use listener::Listener;
pub use loop_state::{FRAMES_PER_TURN, LoopState, READ_PER_TURN, WRITE_PER_TURN};
pub use peer::Peer;
pub use probe::{Hook, NoProbe, Probe};
pub use readiness::Readiness;
pub use recorded::Recorded;
pub use scheduled_calls::{CallKey, CallLater};
pub use socket::{ListenSocket, SocketTransport, Stream, transmit};
pub use source::{FileWrapper, NoSource, SharedSource};
pub use waker::Waker;
