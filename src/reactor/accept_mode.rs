//! What a listener is given: its socket, how processes share it, and whether there is room.

use std::fmt;

use super::socket::ListenSocket;
use crate::clock::Instant;
use crate::sys::bell::Bell;

/// How several processes accept from one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptMode {
    /// One socket, with `EPOLLEXCLUSIVE`: a connection wakes one of the waiting processes, and is left to another one by
    /// a process that has more than its share ([`Admission::is_ahead`]).
    #[default]
    Exclusive,
    /// One socket, as mio registers it: a connection wakes all waiting processes, and one of them gets it.
    Shared,
    /// One socket for each process (`SO_REUSEPORT`): the kernel distributes the connections by a hash.
    Reuseport,
}

impl AcceptMode {
    /// This mode; where the kernel cannot wake one process only, `Shared` in place of `Exclusive`.
    #[must_use]
    pub fn here(self) -> Self {
        if self == Self::Exclusive && !cfg!(target_os = "linux") { Self::Shared } else { self }
    }
}

impl fmt::Display for AcceptMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
            Self::Reuseport => "reuseport",
        })
    }
}

/// Decides whether another connection is accepted. `()` accepts any number.
pub trait Admission {
    /// Whether there is no room for another connection.
    fn is_full(&self) -> bool {
        false
    }

    /// Makes room for a connection that waits; returns whether that was possible.
    fn make_room(&self) -> bool {
        true
    }

    /// Whether another process should have the next connection. `waiting`: the number of connections in the queue, which
    /// costs a system call.
    fn is_ahead(&self, _now: Instant, _waiting: &dyn Fn() -> usize) -> bool {
        false
    }

    /// Whether other processes should be woken before this one, which has accepted `accepted` connections since they were
    /// last put before it.
    fn goes_back(&self, _now: Instant, accepted: u32) -> bool {
        accepted >= ACCEPTS_PER_PLACE
    }
}

/// After how many accepts a process lets the others be woken first, even if it has fewer connections. Without it the first
/// process is woken for every connection that ends at once (800 of 800). nginx does the same.
pub const ACCEPTS_PER_PLACE: u32 = 16;

impl Admission for () {}

/// A listening socket, and the bell of the processes that accept from it, if there are others.
#[derive(Debug)]
pub struct SharedListener {
    /// The socket.
    pub socket: ListenSocket,
    /// Rung by a process that was woken for a connection and cannot take it, or leaves it to another.
    pub bell: Option<Bell>,
}

impl<T: Into<ListenSocket>> From<T> for SharedListener {
    fn from(socket: T) -> Self {
        Self { socket: socket.into(), bell: None }
    }
}
