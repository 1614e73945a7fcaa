//! What the doctor finds: a kind, a cause and a cure.

use super::lines::Book;
use super::record::{NO_KEY, Record};
use crate::json;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// A hook took 10 ms or more.
    SlowHook,
    /// A channel that was ready waited 5 ms or more in its turn.
    WaitBehind,
    /// Input may be unread, and the kernel does not report it again.
    LostEdge,
    /// A channel closed with bytes that were not sent.
    BytesLost,
    /// The loop polls again and again, and moves nothing.
    Spinning,
    /// Most places for connections that wait to be accepted are taken.
    AcceptQueue,
    /// One worker has accepted far more connections than another.
    Share,
    /// A task waits, and has left no waker.
    LostWaker,
}

impl FindingKind {
    /// The word of JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::SlowHook => "slow_hook",
            Self::WaitBehind => "wait_behind",
            Self::LostEdge => "lost_edge",
            Self::BytesLost => "bytes_lost",
            Self::Spinning => "spinning",
            Self::AcceptQueue => "accept_queue",
            Self::Share => "share",
            Self::LostWaker => "lost_waker",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Clients notice it under load.
    Warning,
    /// Clients notice it now.
    Critical,
}

impl Severity {
    /// The word of JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One thing that is wrong with a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// How bad it is.
    pub severity: Severity,
    /// The number of the turn.
    pub turn: u64,
    /// The channel that it is about, or [`super::NO_KEY`].
    pub key: u64,
    /// Nanoseconds since the recording began.
    pub time: u64,
    /// The cause, in words, with names.
    pub text: String,
    /// What to do.
    pub cure: &'static str,
}

impl Finding {
    /// The finding as a JSON object; `key` is the channel as people read it ([`super::Recording::show_key`]).
    #[must_use]
    pub fn to_json(&self, key: &str) -> String {
        let text = json::string;
        format!(
            r#"{{"kind":"{}","severity":"{}","turn":{},"key":{},"time":{},"text":{},"cure":{}}}"#,
            self.kind.word(),
            self.severity.word(),
            self.turn,
            if self.key == NO_KEY { "null".into() } else { text(key) },
            self.time,
            text(&self.text),
            text(self.cure),
        )
    }
}

/// The records of one turn, which a ring has in two pieces where it begins again.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnRecords<'a> {
    pub(super) number: u64,
    pub(super) first: &'a [Record],
    pub(super) rest: &'a [Record],
}

impl<'a> TurnRecords<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = &'a Record> {
        self.first.iter().chain(self.rest)
    }

    /// The time of the last record.
    pub(super) fn end(self) -> u64 {
        self.rest.last().or(self.first.last()).map_or(0, |last| last.time)
    }
}

/// A channel and one more that was not counted are `2 channels`.
pub(super) fn channels(count: usize) -> String {
    if count == 1 { "1 channel".into() } else { format!("{count} channels") }
}

/// How often the same is told of one type of channel while the loop runs, in nanoseconds.
const TOLD_EVERY: u64 = 60_000_000_000;

/// Where findings go. A loop that runs is told the same once a minute for each type of channel; a file is told all of it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) all: Vec<Finding>,
    is_live: bool,
    /// What was told, of which type of channel, and when.
    told: Vec<(FindingKind, u16, u64)>,
}

impl Findings {
    pub(super) fn live() -> Self {
        Self { is_live: true, ..Self::default() }
    }

    /// Whether this is to be told now. Ask before the text is made.
    pub(super) fn wants(&mut self, kind: FindingKind, key: u64, time: u64, book: &dyn Book) -> bool {
        if !self.is_live {
            return true;
        }
        let name = book.type_of(key);
        match self.told.iter_mut().find(|told| (told.0, told.1) == (kind, name)) {
            Some(told) if time.saturating_sub(told.2) < TOLD_EVERY => false,
            Some(told) => {
                told.2 = time;
                true
            }
            None => {
                self.told.push((kind, name, time));
                true
            }
        }
    }
}
