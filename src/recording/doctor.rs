//! The doctor: looks at the turns of a loop, and says what is wrong, why, and what to do.
//!
//! It goes through the records of each turn once. Only a turn that was long is looked at again, and only a finding allocates.

mod edges;
mod hooks;
mod shares;
mod spin;

use super::finding::{Finding, FindingKind, Findings, Severity, TurnRecords};
use super::lines::{self, Book};
use super::reader::Recording;
use super::record::{Ending, Kind, Record, Why, moved};
use edges::Edges;
use hooks::Hooks;
use spin::Spin;

/// The accept queue is worth a finding from this part of its limit on, in percent.
const QUEUE_IS_FULL: u64 = 80;

/// Looks at a loop turn by turn.
#[derive(Debug)]
pub struct Doctor {
    hooks: Hooks,
    edges: Edges,
    spin: Spin,
    /// Listeners whose queue was found to be full, until half of it is empty.
    full: Vec<u64>,
    findings: Findings,
}

impl Doctor {
    /// All findings of a recording, in the order of its turns.
    #[must_use]
    pub fn examine(recording: &Recording) -> Vec<Finding> {
        let kind = recording.facts.get("loop").map_or("", String::as_str);
        let mut doctor = Self::with(kind, Findings::default());
        for (number, records) in recording.turns() {
            doctor.look(TurnRecords { number, first: records, rest: &[] }, recording);
        }
        doctor.findings.all
    }

    /// Whether the workers of a server had equal shares of the connections: one recording for each.
    #[must_use]
    pub fn compare(recordings: &[Recording]) -> Option<Finding> {
        shares::compare(recordings)
    }

    /// A doctor for a loop that runs, which says the same once a minute for each type of channel.
    pub(super) fn live(kind: &str) -> Self {
        Self::with(kind, Findings::live())
    }

    fn with(kind: &str, findings: Findings) -> Self {
        // The kernel tells a change once. The reactor keeps what it was told, and calls a channel again that has stopped
        // early, unless that wants no input; a future tries to read before it waits.
        let is_edge = kind == "mio";
        Self {
            hooks: Hooks::default(),
            edges: Edges::new(is_edge),
            spin: Spin::default(),
            full: Vec::new(),
            findings,
        }
    }

    /// Takes what was found since the last call.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Finding> {
        self.findings.all.drain(..)
    }

    /// Looks at the next turn.
    pub(super) fn look(&mut self, turn: TurnRecords<'_>, book: &dyn Book) {
        let Self { hooks, edges, spin, findings, .. } = self;
        let (mut began, mut clock) = (None, None);
        let mut rare = false;
        let (mut has_moved, mut has_late) = (false, false);
        spin.begin_turn();
        for record in turn.iter() {
            match record.kind {
                Kind::Turn => began = Some(record.time),
                Kind::Event => spin.note_event(record),
                Kind::Enter => {
                    spin.note_hook(record);
                    has_late |= record.code == Why::Late as u8;
                }
                Kind::Exit => rare |= record.code == Ending::Forgotten as u8,
                Kind::Read | Kind::Write => {
                    has_moved |= record.b > 0;
                    edges.note(record);
                }
                Kind::New | Kind::Close => {
                    has_moved = true;
                    edges.forget(record.key);
                    rare |= record.kind == Kind::Close && record.b > 0;
                }
                Kind::Queue => rare = true,
                Kind::Clock => clock = Some(*record),
                _ => {}
            }
        }
        // What happens before the first wait is no turn.
        let end = turn.end();
        if let Some(began) = began {
            if has_late || end - began >= hooks::LONG_WAIT {
                hooks.look(turn, began, book, findings);
            }
            hooks.last_began = began;
            spin.end_turn(turn.number, end, has_moved, book, findings);
        }
        hooks.clock = clock.or(hooks.clock);
        edges.end_turn(turn.number, end, book, findings);
        if rare {
            self.look_at_what_is_rare(turn, book);
        }
    }

    #[cold]
    fn look_at_what_is_rare(&mut self, turn: TurnRecords<'_>, book: &dyn Book) {
        for (at, record) in turn.iter().enumerate() {
            match record.kind {
                Kind::Exit if record.code == Ending::Forgotten as u8 => self.lost_waker(turn, record, book),
                Kind::Close if record.b > 0 => self.bytes_lost(turn, at, record, book),
                Kind::Queue => self.queue(turn, record, book),
                _ => {}
            }
        }
    }

    fn lost_waker(&mut self, turn: TurnRecords<'_>, exit: &Record, book: &dyn Book) {
        if !self.findings.wants(FindingKind::LostWaker, exit.key, exit.time, book) {
            return;
        }
        let text = format!(
            "{} of {} returned Pending and has left no waker: nothing will call it again",
            book.name(exit.name),
            book.label(exit.key)
        );
        self.findings.all.push(Finding {
            kind: FindingKind::LostWaker,
            severity: Severity::Critical,
            turn: turn.number,
            key: exit.key,
            time: exit.time,
            text,
            cure: "store the waker of `cx` (`cx.waker().clone()`) wherever a future returns `Pending`",
        });
    }

    /// A connection that has failed has nobody to send to: what it loses is no fault of the program.
    fn bytes_lost(&mut self, turn: TurnRecords<'_>, at: usize, close: &Record, book: &dyn Book) {
        let of_it = || turn.iter().take(at).filter(|record| record.key == close.key);
        let failed = |record: &Record| match record.kind {
            Kind::Read | Kind::Write => record.code & moved::FAILED != 0,
            Kind::Exit => record.code == Ending::Failed as u8,
            _ => false,
        };
        if of_it().any(failed) || !self.findings.wants(FindingKind::BytesLost, close.key, close.time, book) {
            return;
        }
        let hook = of_it().filter(|record| record.kind == Kind::Enter).last();
        let (lost, label) = (lines::bytes(close.b), book.label(close.key));
        let text = match hook.map(|hook| book.name(hook.name)) {
            _ if close.code == 1 => format!("{lost} were lost when a panic closed {label}"),
            Some(hook) => format!("{lost} were lost when {label} closed in {hook}: they were not sent yet"),
            None => format!("{lost} were lost when the loop closed {label}: they were not sent yet"),
        };
        self.findings.all.push(Finding {
            kind: FindingKind::BytesLost,
            severity: Severity::Warning,
            turn: turn.number,
            key: close.key,
            time: close.time,
            text,
            cure: "close when everything is sent (`close_when_done`), and not after the last push",
        });
    }

    fn queue(&mut self, turn: TurnRecords<'_>, queue: &Record, book: &dyn Book) {
        let (waiting, most) = (u64::from(queue.a), queue.b);
        if waiting.saturating_mul(100) < most.saturating_mul(QUEUE_IS_FULL) || most == 0 {
            if waiting.saturating_mul(2) <= most {
                self.full.retain(|key| *key != queue.key);
            }
            return;
        }
        if self.full.contains(&queue.key) {
            return;
        }
        self.full.push(queue.key);
        if !self.findings.wants(FindingKind::AcceptQueue, queue.key, queue.time, book) {
            return;
        }
        let is_over = waiting >= most;
        let then = if is_over { "new ones are dropped" } else { "when it is full, new ones are dropped" };
        self.findings.all.push(Finding {
            kind: FindingKind::AcceptQueue,
            severity: if is_over { Severity::Critical } else { Severity::Warning },
            turn: turn.number,
            key: queue.key,
            time: queue.time,
            text: format!(
                "{waiting} of at most {most} connections wait for {} to accept them: {then}",
                book.label(queue.key)
            ),
            cure: if book.is_from_outside() {
                "serve more clients at once, or give the listener a larger backlog (`listen`)"
            } else {
                "make the long turns shorter, add workers (`-w`), or give the listener a larger backlog"
            },
        });
    }
}

#[cfg(test)]
mod tests;
