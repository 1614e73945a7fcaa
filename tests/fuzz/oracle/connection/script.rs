//! The input of the oracle as a script: the actions of the peer, the clock and the server, and the bytes of the peer.

use std::time::Duration;

use stheno::http1::{Limits, Settings};

const MAX_STEPS: usize = 64;

/// An input, decoded from `limits count (code argument){count} payload`.
#[derive(Debug)]
pub(super) struct Script<'a> {
    small_limits: bool,
    pub(super) steps: Vec<Step>,
    /// The bytes that the peer sends; those that no step has sent are sent after the last one.
    pub(super) payload: &'a [u8],
}

/// An action of the peer, the clock or the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This number of bytes comes at once.
    Send(usize),
    /// This number of bytes comes one by one, each in a turn of its own.
    Trickle(usize),
    /// From now on a read returns at most this number of bytes.
    ReadSize(usize),
    /// The peer reads this number of bytes.
    Take(usize),
    /// The peer reads everything, now and from now on.
    TakeAll,
    /// This time passes.
    Wait(Duration),
    /// The time until the deadline passes.
    WaitForDeadline,
    /// The loop wakes the connection before its deadline.
    Wake,
    /// The peer closes its sending half.
    HalfClose,
    /// The server shuts down.
    Drain,
}

impl Step {
    fn decode(code: u8, argument: u8) -> Self {
        let argument = usize::from(argument);
        match code % 12 {
            0 => Self::Send(argument + 1),
            1 => Self::Send((argument + 1) * 64),
            2 => Self::Trickle(argument + 1),
            3 => Self::ReadSize(argument + 1),
            4 => Self::Take(argument + 1),
            5 => Self::Take((argument + 1) * 1024),
            6 => Self::TakeAll,
            7 => Self::Wait(Duration::from_millis(100 * argument as u64)),
            8 => Self::WaitForDeadline,
            9 => Self::Wake,
            10 => Self::HalfClose,
            _ => Self::Drain,
        }
    }
}

impl<'a> Script<'a> {
    pub(super) fn decode(data: &'a [u8]) -> Self {
        let (head, rest) = data.split_at(data.len().min(2));
        let count = head.get(1).map_or(0, |count| usize::from(*count) % (MAX_STEPS + 1)).min(rest.len() / 2);
        let (steps, payload) = rest.split_at(2 * count);
        let steps = steps.chunks_exact(2).map(|step| Step::decode(step[0], step[1])).collect();
        Script { small_limits: head.first().is_some_and(|flags| flags % 2 == 1), steps, payload }
    }

    pub(super) fn settings(&self) -> Settings {
        let small = Limits {
            target: 40,
            field_line: 60,
            head: 256,
            body: 1000,
            drained_body: 100,
            lingering: 300,
            ..Limits::default()
        };
        let limits = if self.small_limits { small } else { Limits::default() };
        Settings { limits, ..Settings::default() }
    }
}

/// Whether the responses must be the same with these steps as without them.
pub(super) fn only_cuts(steps: &[Step]) -> bool {
    let disturbs =
        |step| matches!(step, Step::Wait(_) | Step::WaitForDeadline | Step::HalfClose | Step::Drain);
    !steps.iter().copied().any(disturbs)
}
