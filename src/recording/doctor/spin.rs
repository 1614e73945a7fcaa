//! A loop that polls again and again, and moves nothing.

use std::time::Duration;

use crate::recording::finding::{Finding, FindingKind, Findings, Severity};
use crate::recording::lines::{self, Book};
use crate::recording::record::{NO_KEY, Record, Why, ready};

/// More polls in one second are too many, if no byte moves and no channel is new.
const POLLS: u32 = 1_000;
const SECOND: u64 = 1_000_000_000;

/// What a turn was about: its first event and its first hook.
#[derive(Clone, Copy, Debug)]
struct Topic {
    key: u64,
    /// What was reported of it.
    bits: u8,
    hook: u16,
    why: Option<u8>,
}

impl Default for Topic {
    fn default() -> Self {
        Self { key: NO_KEY, bits: 0, hook: 0, why: None }
    }
}

/// Counts the polls since something moved last.
#[derive(Debug, Default)]
pub(super) struct Spin {
    polls: u32,
    since: u64,
    turn: Topic,
    /// The topic of most turns, if one is: it gains a vote with each turn of its own, and loses one with each other.
    suspect: Topic,
    votes: u32,
    is_told: bool,
}

impl Spin {
    pub(super) fn begin_turn(&mut self) {
        self.turn = Topic::default();
    }

    pub(super) fn note_event(&mut self, event: &Record) {
        if self.turn.key == NO_KEY || self.turn.key == event.key {
            self.turn.key = event.key;
            self.turn.bits |= event.code;
        }
    }

    pub(super) fn note_hook(&mut self, enter: &Record) {
        let is_same = self.turn.key == NO_KEY || self.turn.key == enter.key;
        if self.turn.why.is_none() && is_same {
            self.turn = Topic { key: enter.key, hook: enter.name, why: Some(enter.code), ..self.turn };
        }
    }

    pub(super) fn end_turn(
        &mut self,
        turn: u64,
        now: u64,
        has_moved: bool,
        book: &dyn Book,
        findings: &mut Findings,
    ) {
        if has_moved {
            (self.polls, self.since, self.votes, self.is_told) = (0, now, 0, false);
            return;
        }
        self.polls += 1;
        if self.votes == 0 {
            self.suspect = self.turn;
        }
        if self.suspect.key == self.turn.key {
            self.votes += 1;
        } else {
            self.votes -= 1;
        }
        if self.polls <= POLLS {
            return;
        }
        let took = now - self.since.min(now);
        if took <= SECOND && !self.is_told {
            self.is_told = true;
            self.tell(turn, now, took, book, findings);
        }
        (self.polls, self.since, self.votes) = (0, now, 0);
    }

    #[cold]
    fn tell(&self, turn: u64, now: u64, took: u64, book: &dyn Book, findings: &mut Findings) {
        // A suspect of most turns has won; of fewer it says nothing.
        let is_one = self.votes > self.polls / 4;
        let topic = if is_one { self.suspect } else { Topic::default() };
        if !findings.wants(FindingKind::Spinning, topic.key, now, book) {
            return;
        }
        let (because, cure) = if is_one { because(&topic, book) } else { (SEVERAL.into(), NONE) };
        findings.all.push(Finding {
            kind: FindingKind::Spinning,
            severity: Severity::Critical,
            turn,
            key: topic.key,
            time: self.since,
            text: format!(
                "the loop polled {} times in {} and moved no byte: {because}",
                self.polls,
                lines::time(Duration::from_nanos(took))
            ),
            cure,
        });
    }
}

const SEVERAL: &str = "several channels are called in turn, and none has anything to do";
const NONE: &str = "ask for no event that nothing will be done about, and wait without a time-out of zero";
const WRITING: &str = "ask for writing only while there is something to send (`writable`)";
const READING: &str =
    "read until the end or until it would block, or stop to ask for reading; close at the end of input";

/// Which interest it is; and what to do.
fn because(topic: &Topic, book: &dyn Book) -> (String, &'static str) {
    let label = || book.label(topic.key);
    let hook = book.name(topic.hook);
    let writes = ["handle_write", "write", "send"].iter().any(|name| hook.starts_with(name));
    let is = |why: Why| topic.why == Some(why as u8);
    if topic.key == NO_KEY {
        return ("the wait ends at once, without an event".into(), "wait without a time-out of zero");
    }
    if is(Why::Deadline) || is(Why::Call) {
        let text = format!("the deadline of {} has always passed already", label());
        return (text, "move the deadline when it has passed, or remove it");
    }
    if is(Why::Wake) {
        return (
            format!("{} is woken again and again", label()),
            "call a waker only when something has changed",
        );
    }
    if is(Why::Again) {
        let text = format!("{} is called again because it says that it is ready, and does nothing", label());
        return (text, if writes { WRITING } else { READING });
    }
    let reads = topic.bits & (ready::READ | ready::READ_CLOSED) != 0;
    let text = match topic.bits {
        bits if bits & ready::ERROR != 0 => format!("{} has an error that is not taken ({hook})", label()),
        0 if writes => format!("{} asks for writing and has nothing to write ({hook})", label()),
        0 => format!("{} is always ready for {hook}, which moves nothing", label()),
        _ if reads && !writes => format!("{} is ready for reading, and nothing is read", label()),
        _ => format!("{} asks for writing and has nothing to write", label()),
    };
    let cure = match topic.bits {
        bits if bits & ready::ERROR != 0 => "close a channel that has an error",
        _ if writes || (topic.bits != 0 && !reads) => WRITING,
        _ => READING,
    };
    (text, cure)
}
