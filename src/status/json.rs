//! A snapshot as JSON, for the events of the live page.

use std::fmt::Write as _;

use super::findings::Concern;
use super::snapshot::{Snapshot, WorkerView};
use crate::json::string;

/// A viewer gets the turns of this many workers at most: its screen has no room for more.
const MOST_RINGS: usize = 64;

/// The position of a viewer in the rings of turns: the number of turns that it has seen, by slot.
pub(super) type Seen = Vec<u64>;

/// The data of one event. Turns are those since `seen`, which is updated.
pub(super) fn event(snapshot: &Snapshot, findings: &[Concern], seen: &mut Seen) -> String {
    let mut text = String::with_capacity(4 * 1024);
    let sum = snapshot.activities();
    push(
        &mut text,
        format_args!(
            "{{\"uptime\":{},\"draining\":{},\"restarts\":{},\"lost\":{},\"bytes\":{},\"responses\":{},\
             \"connections\":{{\"busy\":{},\"idle\":{},\"lingering\":{}}}",
            micros(snapshot.uptime),
            snapshot.is_draining,
            snapshot.restarts,
            snapshot.sum(|slot| slot.lost()),
            snapshot.sum(|slot| slot.bytes()),
            numbers(&snapshot.responses()),
            sum.busy,
            sum.idle,
            sum.lingering,
        ),
    );
    list(&mut text, "queues", &snapshot.queues, |text, queue| {
        let (length, limit) = (queue.length, queue.limit);
        push(
            text,
            format_args!("{{\"name\":{},\"length\":{length},\"limit\":{limit}}}", string(&queue.name)),
        );
    });
    let workers: Vec<_> = snapshot.workers().collect();
    list(&mut text, "workers", &workers, |text, (view, health)| {
        let has_ring = view.index < MOST_RINGS;
        worker(text, view, health.name(), if has_ring { Some(&mut *seen) } else { None });
    });
    list(&mut text, "findings", findings, |text, finding| {
        let [kind, words, cure] = [finding.kind, &finding.text, &finding.cure].map(string);
        push(text, format_args!("{{\"kind\":{kind},\"text\":{words},\"cure\":{cure}}}"));
    });
    text.push('}');
    text
}

fn worker(text: &mut String, view: &WorkerView, state: &str, seen: Option<&mut Seen>) {
    let slot = &view.slot;
    push(
        text,
        format_args!(
            "{{\"slot\":{},\"pid\":{},\"state\":\"{state}\",\"generation\":{},\"open\":{},\"accepts\":{},\
             \"requests\":{},\"turns\":{}",
            view.index,
            slot.pid(),
            view.generation,
            view.open(),
            slot.accepts(),
            slot.responses().iter().sum::<u64>(),
            slot.turns().iter().sum::<u64>(),
        ),
    );
    if let Some(seen) = seen {
        if seen.len() <= view.index {
            seen.resize(view.index + 1, 0);
        }
        let (head, turns) = slot.recent(seen[view.index]);
        seen[view.index] = head;
        // Begin, wait, work in microseconds, events.
        list(text, "ring", &turns, |text, turn| {
            let numbers = [turn.begun, turn.waited, turn.worked, turn.events];
            text.push_str(&self::numbers(&numbers));
        });
    }
    text.push('}');
}

/// `,"name":[…]`
fn list<T>(text: &mut String, name: &str, items: &[T], mut each: impl FnMut(&mut String, &T)) {
    push(text, format_args!(",\"{name}\":["));
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        each(text, item);
    }
    text.push(']');
}

fn numbers(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("[{}]", numbers.join(","))
}

fn micros(duration: std::time::Duration) -> u128 {
    duration.as_micros()
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing into a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_lists() {
        assert_eq!(string("a\"\\\n\u{1}ä"), "\"a\\\"\\\\\\u000a\\u0001ä\"");
        let mut text = String::new();
        list(&mut text, "x", &[1, 2], |text, number| text.push_str(&number.to_string()));
        assert_eq!((text.as_str(), numbers(&[])), (",\"x\":[1,2]", "[]".into()));
    }
}
