//! Input that an edge-triggered loop may have left unread: the kernel reports each change once.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::recording::finding::{Finding, FindingKind, Findings, Severity};
use crate::recording::lines::{self, Book};
use crate::recording::record::{Kind, Record, moved};

/// How long nothing moves before a channel is told.
const IDLE: u64 = 1_000_000_000;

/// A channel whose last read stopped before the socket was empty.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    /// When bytes last moved.
    since: u64,
    /// Bytes of the last read.
    bytes: u64,
    /// It waits for room to write, and reads when there is some.
    is_blocked: bool,
    is_told: bool,
}

/// The channels that may have lost an edge. A loop that reads as it should has none, or has it for a few turns.
#[derive(Debug)]
pub(super) struct Edges {
    is_edge: bool,
    suspects: HashMap<u64, Suspect, RandomState>,
    looked: u64,
}

impl Edges {
    pub(super) fn new(is_edge: bool) -> Self {
        Self { is_edge, suspects: HashMap::default(), looked: 0 }
    }

    /// Notes a read or a write.
    pub(super) fn note(&mut self, record: &Record) {
        if !self.is_edge {
            return;
        }
        let until = moved::BLOCKED | moved::END | moved::SPENT | moved::FAILED;
        if record.kind == Kind::Read && record.code & until == 0 {
            let suspect = Suspect { since: record.time, bytes: record.b, is_blocked: false, is_told: false };
            self.suspects.insert(record.key, suspect);
        } else if self.suspects.is_empty() {
        } else if record.kind == Kind::Read {
            self.suspects.remove(&record.key);
        } else if let Some(suspect) = self.suspects.get_mut(&record.key) {
            suspect.since = record.time;
            suspect.is_blocked = record.code & moved::BLOCKED != 0;
        }
    }

    /// Forgets a channel that is new or closes.
    pub(super) fn forget(&mut self, key: u64) {
        if !self.suspects.is_empty() {
            self.suspects.remove(&key);
        }
    }

    /// Looks for channels that are idle, four times a second.
    pub(super) fn end_turn(&mut self, turn: u64, now: u64, book: &dyn Book, findings: &mut Findings) {
        if now - self.looked.min(now) >= IDLE / 4 {
            self.looked = now;
            self.look(turn, now, book, findings);
        }
    }

    fn look(&mut self, turn: u64, now: u64, book: &dyn Book, findings: &mut Findings) {
        let from = findings.all.len();
        for (key, suspect) in &mut self.suspects {
            let idle = now - suspect.since.min(now);
            if idle < IDLE || suspect.is_blocked || suspect.is_told {
                continue;
            }
            suspect.is_told = true;
            if !findings.wants(FindingKind::LostEdge, *key, now, book) {
                continue;
            }
            findings.all.push(Finding {
                kind: FindingKind::LostEdge,
                severity: Severity::Critical,
                turn,
                key: *key,
                time: suspect.since,
                text: format!(
                    "{} may have input that nobody reads: its last read returned {} and did not go on until it would \
                     block, and nothing was read for {}",
                    book.label(*key),
                    lines::bytes(suspect.bytes),
                    lines::time(Duration::from_nanos(idle)),
                ),
                cure: "read until the call would block: an edge-triggered loop is told of each change once",
            });
        }
        // The order of a map is by chance.
        findings.all[from..].sort_by_key(|finding| (finding.time, finding.key));
    }
}
