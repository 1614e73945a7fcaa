//! One line for each turn, for people: names, not numbers, and no more than fits a screen.
//!
//! ```text
//! turn 10  waited 38 µs of ∞, 2 events
//!     Client 3.1 handle_read (event): read 52 B, Reading → Asking
//!     Client 4.1 handle_read (event): read 52 B, Reading → Asking
//! ```

mod calls;

use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::file::Keys;
use super::record::{ENDLESS, Ending, Kind, NO_KEY, Record, TASK_BIT, Why, moved, ready};
use super::ring::Ring;

/// The most channels that one turn shows.
const MOST: usize = 16;

/// A line that fits a screen.
const WIDTH: usize = 110;

/// A hook that took this long shows its time.
const WORTH_A_WORD: Duration = Duration::from_millis(1);

/// The names that records refer to.
pub(super) trait Book {
    /// The text of a name; empty for 0.
    fn name(&self, number: u16) -> &str;
    /// The number of the name of a channel's type; 0 if it is not known.
    fn type_of(&self, key: u64) -> u16;
    /// What the keys are.
    fn keys(&self) -> Keys;
    /// The kind of the loop.
    fn kind(&self) -> &str;

    /// Whether the hooks are system calls, which another program has recorded.
    fn is_from_outside(&self) -> bool {
        false
    }

    /// The clients whose connections waited to be accepted between these two times.
    fn queued(&self, _from: u64, _to: u64) -> Vec<&str> {
        Vec::new()
    }

    /// A channel as people read it: `Client 3.1`; empty for none.
    fn label(&self, key: u64) -> String {
        if key == NO_KEY {
            return String::new();
        }
        let (name, shown) = (self.name(self.type_of(key)), self.keys().show(key));
        // The name of a task is "task", and so is its key.
        if name.is_empty() || key & TASK_BIT != 0 { shown } else { format!("{name} {shown}") }
    }
}

/// The names of a ring that is still being written.
pub(super) struct Live<'a> {
    pub(super) ring: &'a Ring,
    pub(super) keys: Keys,
    pub(super) kind: &'static str,
}

impl Book for Live<'_> {
    fn name(&self, number: u16) -> &str {
        self.ring.names.text(number)
    }

    fn type_of(&self, key: u64) -> u16 {
        self.ring.known(key).map(|known| known.name).unwrap_or_default()
    }

    fn keys(&self) -> Keys {
        self.keys
    }

    fn kind(&self) -> &str {
        self.kind
    }
}

/// Writes lines to standard error, whose end is not a failure of the loop.
pub(super) fn print(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The lines of a turn; empty for a turn without a record. Records before the first wait are `start`.
pub(super) fn of_turn(number: u64, records: &[Record], book: &dyn Book) -> String {
    let mut head = match records.first() {
        None => return String::new(),
        Some(wait) if wait.kind == Kind::Wait => {
            match records.iter().find(|record| record.kind == Kind::Turn) {
                Some(turn) if book.kind() == "blocking" => {
                    let waited = time(Duration::from_nanos(turn.time.saturating_sub(wait.time)));
                    calls::accepted(number, book.name(wait.name), &waited, turn.a)
                }
                Some(turn) => waited(number, wait, turn, book.kind()),
                // The wait is not over: the program ends in it.
                None => return String::new(),
            }
        }
        Some(_) => "start".to_string(),
    };
    let parts = parts(records, book);
    let width = head.chars().count() + parts.iter().map(|part| part.chars().count() + 2).sum::<usize>();
    if parts.len() == 1 && width <= WIDTH {
        head = head + "  " + &parts[0];
        return head + "\n";
    }
    for part in parts.iter().take(MOST) {
        head = head + "\n" + &wrapped(part);
    }
    if parts.len() > MOST {
        head += &format!("\n    … and {} more", parts.len() - MOST);
    }
    head + "\n"
}

fn waited(number: u64, wait: &Record, turn: &Record, kind: &str) -> String {
    let most = if wait.b == ENDLESS { "∞".into() } else { time(Duration::from_nanos(wait.b)) };
    let waited = time(Duration::from_nanos(turn.time.saturating_sub(wait.time)));
    if kind == "tokio" {
        // Tokio does not tell how long it may wait, nor its events.
        return format!("turn {number}  waited {waited}");
    }
    let what = match (wait.a, turn.a) {
        (0, 1) => "1 event".into(),
        (0, count) => format!("{count} events"),
        (asked, ready) => format!("asked about {asked}, {ready} ready"),
    };
    format!("turn {number}  waited {waited} of {most}, {what}")
}

/// A part below its turn: lines that fit a screen, broken after a comma.
fn wrapped(part: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for fact in part.split(", ") {
        match lines.last_mut() {
            // Two for the comma and the space, and one for a comma at the end.
            Some(line) if line.chars().count() + fact.chars().count() + 3 <= WIDTH => {
                *line = format!("{line}, {fact}");
            }
            Some(line) => {
                line.push(',');
                lines.push(format!("        {fact}"));
            }
            None => lines.push(format!("    {fact}")),
        }
    }
    lines.join("\n")
}

/// What happened in a turn: a text for each hook, and for what happened outside of hooks.
fn parts(records: &[Record], book: &dyn Book) -> Vec<String> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut is_new, mut depth) = (false, 0_usize);
    for (at, record) in records.iter().enumerate() {
        if record.kind == Kind::Event && has_hook(record.key, &records[at..]) {
            continue;
        }
        // The peer is recorded again before a close, for readers that have lost the beginning.
        let says_again = record.kind == Kind::Peer && !is_new;
        is_new = record.kind == Kind::New;
        let Some(text) = text(record, book).filter(|_| !says_again) else {
            continue;
        };
        match (record.kind, parts.last_mut()) {
            (Kind::Enter, _) => {
                let title = "  ".repeat(depth) + &text;
                parts.push(Part { key: record.key, title, since: record.time, facts: Vec::new() });
                depth += 1;
            }
            (Kind::Exit, _) => {
                depth = depth.saturating_sub(1);
                // Other hooks may have been called within it.
                let Some(part) = parts.iter_mut().rfind(|part| part.key == record.key) else { continue };
                let took = Duration::from_nanos(record.time.saturating_sub(part.since));
                if took >= WORTH_A_WORD && book.is_from_outside() {
                    // Many short calls do not block.
                    let verb = if part.title.ends_with(", send") { "took" } else { "blocked for" };
                    part.facts.insert(0, format!("{verb} {}", time(took)));
                    part.facts.extend(calls::behind(&book.queued(part.since, record.time)));
                } else if took >= WORTH_A_WORD {
                    part.facts.push(format!("took {}", time(took)));
                }
                part.facts.extend((!text.is_empty()).then_some(text));
            }
            (Kind::Queue, Some(part)) if part.key == record.key => calls::push_longer(&mut part.facts, text),
            (_, Some(part)) if part.key == record.key => part.facts.push(text),
            _ => {
                let title = "  ".repeat(depth) + &book.label(record.key);
                parts.push(Part { key: record.key, title, since: record.time, facts: vec![text] });
            }
        }
    }
    parts.into_iter().map(Part::into_text).collect()
}

/// Whether a hook of the channel is called later in this turn.
fn has_hook(key: u64, records: &[Record]) -> bool {
    records.iter().any(|record| record.kind == Kind::Enter && record.key == key)
}

struct Part {
    key: u64,
    title: String,
    since: u64,
    facts: Vec<String>,
}

impl Part {
    fn into_text(self) -> String {
        match (self.title.is_empty(), self.facts.is_empty()) {
            (_, true) => self.title,
            (true, _) => self.facts.join(", "),
            _ => format!("{}: {}", self.title, self.facts.join(", ")),
        }
    }
}

/// What a record says; `None` if it is for machines, or part of the head.
fn text(record: &Record, book: &dyn Book) -> Option<String> {
    let name = book.name(record.name);
    Some(match record.kind {
        Kind::Wait | Kind::Turn | Kind::Clock => return None,
        Kind::Event => happened(record.code).into(),
        Kind::Enter => {
            let why = match Why::WORDS.get(usize::from(record.code)) {
                Some(why) if record.code != Why::Program as u8 => format!(" ({why})"),
                _ => String::new(),
            };
            format!("{} {name}{why}", book.label(record.key)).trim_start().into()
        }
        // That it has returned goes without saying.
        Kind::Exit if record.code == Ending::Returned as u8 => String::new(),
        Kind::Exit if book.is_from_outside() && record.code == Ending::Pending as u8 => {
            "has not returned".into()
        }
        Kind::Exit => Ending::WORDS.get(usize::from(record.code)).copied().unwrap_or_default().into(),
        Kind::Read if record.code & moved::END != 0 => "read the end".into(),
        Kind::Read => moved_text("read", record, "would block"),
        Kind::Write => moved_text("wrote", record, "no room"),
        // A key that is the descriptor says it already.
        Kind::New if record.a == u32::MAX || book.keys() == Keys::Descriptor => "new".into(),
        Kind::New => format!("new, fd {}", record.a),
        Kind::Peer if record.code == 4 => format!("peer {}:{}", Ipv4Addr::from_bits(record.a), record.name),
        Kind::Peer => return None,
        Kind::State => {
            let from = u16::try_from(record.a).map(|number| book.name(number)).unwrap_or_default();
            if from.is_empty() { format!("is {name}") } else { format!("{from} → {name}") }
        }
        Kind::Watch => match record.code {
            1 => format!("registered for {}", interest(record.a)),
            2 => format!("registered again for {}", interest(record.a)),
            _ => "deregistered".into(),
        },
        Kind::Shutdown => "shut down".into(),
        Kind::Close if record.b > 0 => format!("closed, {} lost", bytes(record.b)),
        Kind::Close => "closed".into(),
        // The event has said that one waits.
        Kind::Queue if record.a <= 1 => return None,
        Kind::Queue => format!("{} of {} wait to be accepted", record.a, record.b),
        Kind::Wake => "woken".into(),
        Kind::Response => format!("response {}, {}", record.a, bytes(record.b)),
        Kind::Mark if record.b == 0 => name.into(),
        Kind::Mark => format!("{name} {}", record.b),
    })
}

fn moved_text(verb: &str, record: &Record, blocked: &str) -> String {
    let has = |bit| record.code & bit != 0;
    let mut text = format!("{verb} {}", bytes(record.b));
    if has(moved::FAILED) {
        text += ", failed";
    } else if has(moved::SPENT) {
        text += ", share spent";
    } else if has(moved::BLOCKED) && record.b == 0 {
        text = format!("{verb} nothing: {blocked}");
    } else if has(moved::BLOCKED) && record.kind == Kind::Write {
        text = format!("{text}, {blocked}");
    }
    text
}

/// What the kernel reports of a channel.
fn happened(bits: u8) -> &'static str {
    match bits & (ready::READ | ready::WRITE) {
        1 => "readable",
        2 => "writable",
        3 => "readable and writable",
        _ => "reported",
    }
}

fn interest(bits: u32) -> &'static str {
    match bits & u32::from(ready::READ | ready::WRITE) {
        1 => "reading",
        2 => "writing",
        3 => "reading and writing",
        _ => "nothing",
    }
}

/// A time in the unit that gives it one to three digits before the point.
pub(super) fn time(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (unit, name) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (rounded, tenths) = ((nanos + unit / 2) / unit, (nanos * 10 + unit / 2) / unit);
    if tenths < 100 { format!("{}.{} {name}", tenths / 10, tenths % 10) } else { format!("{rounded} {name}") }
}

/// A number of bytes.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_240_000 => format!("{} KiB", count / 1024),
        _ => format!("{} MiB", count / 1024 / 1024),
    }
}

#[cfg(test)]
mod tests;
