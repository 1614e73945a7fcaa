//! Hooks that take long, and the channels that wait behind them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::recording::finding::{Finding, FindingKind, Findings, Severity, TurnRecords, channels};
use crate::recording::lines::{self, Book};
use crate::recording::record::{Kind, NO_KEY, Record, Why, ready};

/// A hook is slow from here on.
const SLOW: u64 = 10_000_000;

/// Clients notice such a hook, however few they are.
const CRITICAL: u64 = 50_000_000;

/// How long a channel that is ready may wait in its turn.
pub(super) const LONG_WAIT: u64 = 5_000_000;

/// How many hooks a text names.
const NAMED: usize = 2;

/// A call of a hook.
#[derive(Clone, Copy, Debug)]
struct HookCall {
    key: u64,
    name: u16,
    why: u8,
    /// When it was ready: at the beginning of the turn, or at the call of its waker in this turn.
    since: u64,
    enter: u64,
    exit: Option<u64>,
    /// Nanoseconds without the hooks that it contains.
    own: u64,
    /// The clocks of the thread, last read before it, and first read after it.
    before: Option<Record>,
    after: Option<Record>,
    /// Whether it is the first call of its channel in this turn.
    is_first: bool,
}

impl HookCall {
    /// Whether the channel was ready when the turn began, and waited for this call.
    fn has_waited(&self) -> bool {
        let waits = [Why::Event, Why::Asked, Why::Wake, Why::Late];
        self.is_first && waits.iter().any(|why| *why as u8 == self.why)
    }
}

/// Looks at the hooks of long turns. Its memory is used again for each.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    spans: Vec<HookCall>,
    open: Vec<usize>,
    seen: HashSet<u64, RandomState>,
    /// Channels with an event that the turn had no time for.
    unserved: Vec<u64>,
    /// When wakers were called in this turn.
    wakes: HashMap<u64, u64, RandomState>,
    /// When the turn before began, which had no time for the channels that are late in this one.
    pub(super) last_began: u64,
    /// The clocks of the thread, as they were read last before this turn.
    pub(super) clock: Option<Record>,
}

impl Hooks {
    #[cold]
    pub(super) fn look(
        &mut self,
        turn: TurnRecords<'_>,
        began: u64,
        book: &dyn Book,
        findings: &mut Findings,
    ) {
        self.take(turn, began);
        for at in 0..self.spans.len() {
            self.slow(turn.number, at, book, findings);
        }
        self.wait(turn.number, book, findings);
    }

    /// Makes spans of the records.
    fn take(&mut self, turn: TurnRecords<'_>, began: u64) {
        let Self { spans, open, seen, unserved, wakes, clock, last_began } = self;
        spans.clear();
        open.clear();
        seen.clear();
        wakes.clear();
        unserved.clear();
        let mut clock = *clock;
        for record in turn.iter() {
            match record.kind {
                Kind::Enter => {
                    let is_first = seen.insert(record.key);
                    let (key, name, why, enter) = (record.key, record.name, record.code, record.time);
                    open.push(spans.len());
                    let began = if why == Why::Late as u8 { *last_began } else { began };
                    let since = wakes.remove(&key).unwrap_or(began).min(enter);
                    let (exit, own, before, after) = (None, 0, clock, None);
                    spans.push(HookCall { key, name, why, since, enter, exit, own, before, after, is_first });
                }
                // The oldest records of a very long turn may be lost, and with them the beginning of a hook.
                Kind::Exit => {
                    let Some(at) = open.pop() else { continue };
                    let length = record.time - spans[at].enter;
                    spans[at].exit = Some(record.time);
                    spans[at].own = spans[at].own.wrapping_add(length);
                    if let Some(outer) = open.last() {
                        // It gets its own length later, of which this is taken away.
                        spans[*outer].own = spans[*outer].own.wrapping_sub(length);
                    }
                }
                // An event of writing alone may call no hook.
                Kind::Event if record.code & ready::READ != 0 => unserved.push(record.key),
                Kind::Wake => {
                    wakes.insert(record.key, record.time.max(began));
                }
                Kind::Clock => {
                    clock = Some(*record);
                    let ended = spans.iter_mut().rev().take_while(|span| span.after.is_none());
                    ended.filter(|span| span.exit.is_some()).for_each(|span| span.after = clock);
                }
                _ => {}
            }
        }
        unserved.retain(|key| !seen.contains(key));
        unserved.sort_unstable();
        unserved.dedup();
        // A hook that has not ended has no length.
        for at in open.drain(..) {
            spans[at].own = 0;
        }
    }

    fn slow(&self, turn: u64, at: usize, book: &dyn Book, findings: &mut Findings) {
        let span = &self.spans[at];
        let Some(exit) = span.exit.filter(|_| span.own >= SLOW) else {
            return;
        };
        if book.is_from_outside() {
            return self.blocked(turn, at, exit, book, findings);
        }
        if !findings.wants(FindingKind::SlowHook, span.key, exit, book) {
            return;
        }
        let behind = self.spans[at + 1..].iter().filter(|other| other.enter >= exit && other.has_waited());
        let (because, cure, is_ours) = because(span);
        let behind = match behind.count() + self.unserved.len() {
            0 => "no channel waited behind it".into(),
            count => format!("{} waited behind it", channels(count)),
        };
        let took = lines::time(Duration::from_nanos(span.own));
        findings.all.push(Finding {
            kind: FindingKind::SlowHook,
            severity: if span.own >= CRITICAL && is_ours { Severity::Critical } else { Severity::Warning },
            turn,
            key: span.key,
            time: span.enter,
            text: format!("{} took {took}: {because}; {behind}", of(span, book)),
            cure,
        });
    }

    /// A system call that has blocked. In a thread that serves one client, this is wrong only if others wait for the thread.
    fn blocked(&self, turn: u64, at: usize, exit: u64, book: &dyn Book, findings: &mut Findings) {
        let (span, is_loop) = (&self.spans[at], book.kind() != "blocking");
        let queued = book.queued(span.enter, exit).len();
        let later = self.spans[at + 1..].iter().filter(|other| other.enter >= exit && other.has_waited());
        let ready = later.count() + self.unserved.len();
        if !is_loop && queued == 0 || !findings.wants(FindingKind::SlowHook, span.key, exit, book) {
            return;
        }
        // Many short calls do not block.
        let verb = if book.name(span.name).contains(", ") { "took" } else { "blocked for" };
        let behind = match (ready, queued) {
            (0, 0) => "nothing waited behind it".into(),
            (0, 1) => "1 connection waited to be accepted".into(),
            (0, count) => format!("{count} connections waited to be accepted"),
            (count, 0) => format!("{} waited behind it", channels(count)),
            (count, queued) => format!("{} waited behind it, and {queued} to be accepted", channels(count)),
        };
        findings.all.push(Finding {
            kind: FindingKind::SlowHook,
            severity: if span.own >= CRITICAL { Severity::Critical } else { Severity::Warning },
            turn,
            key: span.key,
            time: span.enter,
            text: format!(
                "{} {verb} {}; {behind}",
                of(span, book),
                lines::time(Duration::from_nanos(span.own))
            ),
            cure: if is_loop { BLOCKED_LOOP } else { BLOCKED },
        });
    }

    fn wait(&self, turn: u64, book: &dyn Book, findings: &mut Findings) {
        let late = |span: &&HookCall| span.enter - span.since >= LONG_WAIT && span.has_waited();
        let count = self.spans.iter().filter(late).count();
        let worst = self.spans.iter().filter(late).max_by_key(|span| span.enter - span.since);
        let Some(span) = worst else {
            return;
        };
        let waited = span.enter - span.since;
        if !findings.wants(FindingKind::WaitBehind, span.key, span.enter, book) {
            return;
        }
        let mut before: Vec<&HookCall> = self.spans.iter().filter(|other| other.enter < span.enter).collect();
        before.sort_by_key(|other| std::cmp::Reverse(other.own));
        let is_late = span.why == Why::Late as u8;
        let is_one = before.first().is_some_and(|longest| longest.own * 2 >= waited);
        let others =
            if count > 1 { format!("; {} waited 5 ms or longer", channels(count)) } else { String::new() };
        findings.all.push(Finding {
            kind: FindingKind::WaitBehind,
            severity: Severity::Warning,
            turn,
            key: span.key,
            time: span.enter,
            text: format!(
                "{} waited {} in its turn behind {}{others}",
                book.label(span.key),
                lines::time(Duration::from_nanos(waited)),
                if is_late { "the hooks of the turn before".into() } else { blame(&before, book) },
            ),
            cure: if is_one {
                "make the long hook shorter, or give its work to a thread: the loop calls one hook at a time"
            } else {
                "the turn has many hooks and none is long: make each cheaper, or add workers"
            },
        });
    }
}

/// The hooks that took the time, the longest first.
fn blame(before: &[&HookCall], book: &dyn Book) -> String {
    let time = |nanos| lines::time(Duration::from_nanos(nanos));
    let worth: Vec<&&HookCall> = before.iter().filter(|span| span.own > 0).collect();
    let named = worth.iter().take(NAMED).map(|span| format!("{} ({})", of(span, book), time(span.own)));
    let mut text = named.collect::<Vec<_>>().join(" and ");
    if worth.len() > NAMED {
        let rest: u64 = worth[NAMED..].iter().map(|span| span.own).sum();
        text += &format!(" and {} more ({})", worth.len() - NAMED, time(rest));
    }
    if text.is_empty() { "what the loop does between hooks".into() } else { text }
}

fn of(span: &HookCall, book: &dyn Book) -> String {
    let (name, label) = (book.name(span.name), book.label(span.key));
    if label.is_empty() { name.into() } else { format!("{name} of {label}") }
}

const BLOCKED: &str =
    "give each client a thread or a process of its own, or wait for all sockets at once (`select`)";
const BLOCKED_LOOP: &str = "make the sockets non-blocking, call what the wait has reported, and wait with a deadline in place of a sleep";

const SLEPT: &str = "wait with a deadline (`handle_timeout`), not with a sleep; give long work to a thread";
const COMPUTED: &str = "divide the work over several turns, or give it to a thread";
const NO_PROCESSOR: &str =
    "the program is not at fault: run fewer programs or workers, or give this one a processor of its own";
const UNKNOWN: &str =
    "look for a sleep, a file or a lock in this hook, and for long work; give either to a thread";

/// What a slow hook did with its time; what to do; and whether it is the program's fault.
fn because(span: &HookCall) -> (String, &'static str, bool) {
    let (Some(before), Some(after)) = (span.before, span.after) else {
        return (
            "no clock of the thread was read around it, so the cause is not known".into(),
            UNKNOWN,
            true,
        );
    };
    let elapsed = after.time - before.time;
    let computed = after.b.saturating_sub(before.b).min(elapsed);
    let is_known = before.key != NO_KEY && after.key != NO_KEY;
    let late = if is_known { after.key.saturating_sub(before.key).min(elapsed - computed) } else { 0 };
    let slept = elapsed - computed - late;
    let time = |nanos| lines::time(Duration::from_nanos(nanos));
    let machine = match late {
        _ if !is_known => "how late the machine was is not known".into(),
        // The clock of the system counts in its own steps: less than a tenth of a millisecond says nothing.
        0..100_000 => "the machine was late 0 ms".into(),
        _ => format!("the machine was late {}", time(late)),
    };
    let most = computed.max(late).max(slept);
    // More than a quarter of the time between the two readings was spent outside of this hook.
    if (elapsed - span.own.min(elapsed)) * 4 > elapsed || most * 2 < span.own {
        let text = format!(
            "why is not certain: of {} around it the thread computed {} and waited {}, {machine}",
            time(elapsed),
            time(computed),
            time(slept)
        );
        return (text, UNKNOWN, true);
    }
    if most == slept {
        let what =
            if is_known { "it slept or waited for the kernel" } else { "it slept, or had no processor" };
        (format!("{what} (computed {}, {machine})", time(computed)), SLEPT, true)
    } else if most == computed {
        (
            format!("it computed {} (slept or waited {}, {machine})", time(computed), time(slept)),
            COMPUTED,
            true,
        )
    } else {
        let text = format!(
            "it was ready to run, and the machine gave it no processor for {} (computed {}, slept or waited {})",
            time(late),
            time(computed),
            time(slept)
        );
        (text, NO_PROCESSOR, false)
    }
}
