//! A recording as trace events, for ui.perfetto.dev and chrome://tracing.
//!
//! | track | what is on it |
//! |---|---|
//! | `loop` | waits and turns, one after another |
//! | `hooks` | hooks, and what happened in them |
//! | counters | open channels, bytes, queues of listeners |

use std::collections::HashSet;
use std::fmt::Write as _;

use super::lines::Book;
use super::reader::Recording;
use super::record::{ENDLESS, Ending, Kind, Record, Why, moved};
use crate::json;

/// The numbers of the tracks; Perfetto takes the one that is equal to the process for its main thread.
const LOOP: u32 = 1;
const HOOKS: u32 = 2;

/// The trace, event by event.
struct Trace<'a> {
    recording: &'a Recording,
    pid: u32,
    text: String,
    /// Hooks that are open: their names.
    open: Vec<String>,
    channels: i64,
    read: u64,
    written: u64,
}

impl Recording {
    /// The recording in the JSON format of trace events.
    #[must_use]
    pub fn to_chrome(&self) -> String {
        let pid = self.facts.get("pid").and_then(|pid| pid.parse().ok()).unwrap_or(1);
        let channels = open_at_the_start(self);
        let text = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n".into();
        let mut trace = Trace { recording: self, pid, text, open: Vec::new(), channels, read: 0, written: 0 };
        trace.names();
        for (number, records) in self.turns() {
            trace.turn(number, records);
        }
        trace.end()
    }
}

/// How many channels are open before the first record: those that close and were not new, and those that stay.
fn open_at_the_start(recording: &Recording) -> i64 {
    let (mut new, mut older) = (HashSet::new(), 0);
    for record in &recording.records {
        match record.kind {
            Kind::New => drop(new.insert(record.key)),
            Kind::Close if !new.contains(&record.key) => older += 1,
            _ => {}
        }
    }
    older + i64::try_from(recording.open_keys().filter(|key| !new.contains(key)).count()).unwrap_or_default()
}

impl Trace<'_> {
    /// Adds an event of this phase, with further fields of JSON.
    fn event(&mut self, phase: char, track: u32, name: &str, time: u64, fields: &str) {
        if !self.text.ends_with("[\n") {
            self.text += ",\n";
        }
        let (pid, name, micros) = (self.pid, json::string(name), Micros(time));
        let _ = write!(
            self.text,
            r#"{{"ph":"{phase}","pid":{pid},"tid":{track},"ts":{micros},"name":{name}{fields}}}"#
        );
    }

    fn counter(&mut self, name: &str, time: u64, series: &str, value: impl std::fmt::Display) {
        self.event('C', LOOP, name, time, &format!(",\"args\":{{\"{series}\":{value}}}"));
    }

    fn names(&mut self) {
        let fact = |word: &str| self.recording.facts.get(word).cloned().unwrap_or_default();
        let (program, worker) = (fact("program"), fact("worker"));
        let process =
            if worker == "0" || worker.is_empty() { program } else { format!("{program}, worker {worker}") };
        let named = |name: &str| format!(",\"args\":{{\"name\":{}}}", json::string(name));
        self.event('M', LOOP, "process_name", 0, &named(&process));
        for (track, name) in [(LOOP, "loop"), (HOOKS, "hooks")] {
            self.event('M', track, "thread_name", 0, &named(name));
            self.event('M', track, "thread_sort_index", 0, &format!(",\"args\":{{\"sort_index\":{track}}}"));
        }
        let first = self.recording.records.first().map_or(0, |first| first.time);
        let channels = self.channels;
        self.counter("open channels", first, "channels", channels);
    }

    fn turn(&mut self, number: u64, records: &[Record]) {
        let before = (self.channels, self.read, self.written);
        let wait = records.first().filter(|first| first.kind == Kind::Wait);
        let turn = records.iter().find(|record| record.kind == Kind::Turn);
        let end = records.last().map_or(0, |last| last.time);
        if let (Some(wait), Some(turn)) = (wait, turn) {
            let most = if wait.b == ENDLESS { "\"endless\"".into() } else { wait.b.to_string() };
            let waited = format!(
                ",\"dur\":{},\"args\":{{\"turn\":{number},\"longest ns\":{most},\"asked\":{}}}",
                Micros(turn.time - wait.time),
                wait.a
            );
            self.event('X', LOOP, "wait", wait.time, &waited);
            let took = Micros(end - turn.time);
            let took = format!(",\"dur\":{took},\"args\":{{\"turn\":{number},\"events\":{}}}", turn.a);
            self.event('X', LOOP, &format!("turn {number}"), turn.time, &took);
        }
        records.iter().for_each(|record| self.record(record));
        if self.channels != before.0 {
            let channels = self.channels;
            self.counter("open channels", end, "channels", channels);
        }
        for (name, sum, earlier) in
            [("bytes read", self.read, before.1), ("bytes written", self.written, before.2)]
        {
            if sum != earlier {
                self.counter(name, end, "bytes", sum);
            }
        }
    }

    fn record(&mut self, record: &Record) {
        let (recording, time) = (self.recording, record.time);
        let name = || Book::name(recording, record.name);
        let label = || recording.label(record.key);
        let of_channel = |what: &str| format!("{what} {}", label());
        match record.kind {
            Kind::Enter => {
                let (title, why) =
                    (format!("{} of {}", name(), label()), Why::WORDS.get(usize::from(record.code)));
                let fields = self.args(record, &[("why", json::string(why.unwrap_or(&"")))]);
                self.event('B', HOOKS, &title, time, &fields);
                self.open.push(title);
            }
            Kind::Exit => {
                // The beginning of a hook may be lost.
                let Some(title) = self.open.pop() else { return };
                let ending = Ending::WORDS.get(usize::from(record.code)).copied().unwrap_or_default();
                let ending = json::string(ending);
                self.event('E', HOOKS, &title, time, &format!(",\"args\":{{\"ending\":{ending}}}"));
            }
            Kind::New => {
                self.channels += 1;
                self.instant(record, &of_channel("new"), &[("type", json::string(name()))]);
            }
            Kind::Close => {
                self.channels -= 1;
                self.instant(record, &of_channel("close"), &[("lost", record.b.to_string())]);
            }
            Kind::Read => {
                self.read += record.b;
                self.instant(record, "read", &moved_args(record));
            }
            Kind::Write => {
                self.written += record.b;
                self.instant(record, "write", &moved_args(record));
            }
            Kind::State => self.instant(record, &format!("state {}", name()), &[]),
            Kind::Wake => self.instant(record, &of_channel("wake"), &[]),
            Kind::Response => {
                let args = [("status", record.a.to_string()), ("bytes", record.b.to_string())];
                self.instant(record, "response", &args);
            }
            Kind::Mark => self.instant(record, name(), &[("number", record.b.to_string())]),
            Kind::Queue => {
                self.counter(&format!("accept queue of {}", label()), time, "connections", record.a)
            }
            Kind::Shutdown => {
                self.instant(record, &of_channel("shut down"), &[("unsent", record.b.to_string())])
            }
            Kind::Wait | Kind::Turn | Kind::Event | Kind::Peer | Kind::Watch | Kind::Clock => {}
        }
    }

    fn instant(&mut self, record: &Record, title: &str, args: &[(&str, String)]) {
        let fields = format!(",\"s\":\"t\"{}", self.args(record, args));
        self.event('i', HOOKS, title, record.time, &fields);
    }

    /// The channel, and further values that are JSON already.
    fn args(&self, record: &Record, args: &[(&str, String)]) -> String {
        let mut text = format!(",\"args\":{{\"channel\":{}", json::string(&self.recording.label(record.key)));
        for (name, value) in args {
            let _ = write!(text, ",\"{name}\":{value}");
        }
        text + "}"
    }

    /// Closes what is open, and the list.
    fn end(mut self) -> String {
        let last = self.recording.records.last().map_or(0, |last| last.time);
        while let Some(title) = self.open.pop() {
            self.event('E', HOOKS, &title, last, "");
        }
        self.text + "\n]}\n"
    }
}

fn moved_args(record: &Record) -> [(&'static str, String); 2] {
    let words = [
        (moved::BLOCKED, "would block"),
        (moved::END, "end"),
        (moved::SPENT, "share spent"),
        (moved::FAILED, "failed"),
    ];
    let words = words.iter().filter(|(bit, _)| record.code & bit != 0).map(|(_, word)| *word);
    let result = json::string(&words.collect::<Vec<_>>().join(", "));
    [("bytes", record.b.to_string()), ("result", result)]
}

/// Nanoseconds, which trace events have as microseconds.
struct Micros(u64);

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::Value;

    use super::*;
    use crate::recording::record::{NO_KEY, TASK_BIT};

    fn recording(records: &[Record]) -> Recording {
        let names = "name 1 handle_wake\nname 2 poll\nname 3 A \"quoted\" \\ name\n";
        let head = format!("stheno recording 1\nprogram test\npid 77\nworker 2\n{names}");
        let mut bytes = format!("{head}channel 9.1 3\nrecords {}\n\n", records.len()).into_bytes();
        records.iter().for_each(|record| bytes.extend_from_slice(&record.to_bytes()));
        Recording::parse(&bytes).expect("a recording")
    }

    fn at(time: u64, kind: Kind, key: u64, name: u16) -> Record {
        Record { time, key, name, ..Record::new(kind) }
    }

    /// Two turns: a task within a hook, channels that come and go, bytes, a queue; and a hook that has not ended.
    fn records() -> Vec<Record> {
        let (hook, task) = (1 << 32 | 3, TASK_BIT | 4);
        vec![
            at(10, Kind::Wait, NO_KEY, 0),
            at(1_500, Kind::Turn, NO_KEY, 0),
            at(1_500, Kind::Queue, hook, 0),
            at(1_500, Kind::Enter, hook, 1),
            at(1_500, Kind::New, task, 3),
            at(1_500, Kind::Enter, task, 2),
            Record { b: 50, code: moved::BLOCKED, ..at(1_500, Kind::Read, task, 0) },
            at(2_750, Kind::Exit, task, 2),
            at(2_750, Kind::Exit, hook, 1),
            at(2_750, Kind::Close, 1 << 32 | 8, 0),
            at(3_000, Kind::Wait, NO_KEY, 0),
            at(9_000, Kind::Turn, NO_KEY, 0),
            at(9_000, Kind::Exit, hook, 1),
            at(9_000, Kind::Enter, hook, 1),
            Record { b: 20, ..at(9_000, Kind::Write, hook, 0) },
            at(9_999, Kind::Mark, hook, 3),
        ]
    }

    fn events(recording: &Recording) -> Vec<Value> {
        let trace: Value = serde_json::from_str(&recording.to_chrome()).expect("JSON");
        trace["traceEvents"].as_array().expect("a list").clone()
    }

    /// The rules of the format: what Perfetto's own reader asks for.
    #[test]
    fn a_trace_keeps_the_rules_of_its_format() {
        let events = events(&recording(&records()));
        let mut open: HashMap<u64, Vec<(String, f64)>> = HashMap::new();
        for event in &events {
            let (track, time) =
                (event["tid"].as_u64().expect("a track"), event["ts"].as_f64().expect("a time"));
            let name = event["name"].as_str().expect("a name").to_string();
            assert_eq!(event["pid"], 77, "{event}");
            let stack = open.entry(track).or_default();
            match event["ph"].as_str().expect("a phase") {
                "B" => stack.push((name, time)),
                "E" => {
                    let (begun, since) = stack.pop().expect("a begin for each end");
                    assert!(begun == name && since <= time, "{event}");
                }
                "X" => assert!(event["dur"].as_f64().is_some_and(|length| length >= 0.0), "{event}"),
                "i" => assert_eq!(event["s"], "t"),
                "C" => assert!(event["args"].as_object().expect("series").values().all(Value::is_number)),
                "M" => assert!(event["args"].is_object()),
                phase => panic!("a phase {phase}"),
            }
        }
        assert!(open.values().all(Vec::is_empty), "an end for each begin: {open:?}");
        let of = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
        assert_eq!((of("B"), of("E"), of("X")), (3, 3, 4), "an end without a begin is left out");
    }

    #[test]
    fn a_trace_says_what_happened() {
        let events = events(&recording(&records()));
        let named =
            |name: &str| -> Vec<&Value> { events.iter().filter(|event| event["name"] == name).collect() };
        assert_eq!(named("process_name")[0]["args"]["name"], "test, worker 2");
        let wait = named("wait")[0];
        assert_eq!((wait["ts"].as_f64(), wait["dur"].as_f64()), (Some(0.01), Some(1.49)));
        assert_eq!(named("turn 2")[0]["dur"].as_f64(), Some(0.999));
        assert_eq!(named("poll of task 4")[1]["ts"].as_f64(), Some(2.75));
        assert_eq!(named("read")[0]["args"]["result"], "would block");
        assert_eq!(named("A \"quoted\" \\ name")[0]["ph"], "i");
        // One is open at the end and was not new, one closes and was not new, one is new.
        let channels: Vec<&Value> =
            named("open channels").iter().map(|event| &event["args"]["channels"]).collect();
        assert_eq!(channels, [2], "as many close as are new");
        assert_eq!(named("bytes read")[0]["args"]["bytes"], 50);
        assert_eq!(named("bytes written")[0]["args"]["bytes"], 20);
        assert_eq!(named("accept queue of 3.1")[0]["args"]["connections"], 0);
        assert!(events.len() > 20);
        assert_eq!(super::tests::events(&recording(&[])).len(), 6, "an empty recording is a trace too");
    }
}
