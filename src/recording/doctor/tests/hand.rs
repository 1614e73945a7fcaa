//! Recordings that are made by hand.

use crate::recording::doctor::Doctor;
use crate::recording::finding::{Finding, FindingKind};
use crate::recording::reader::Recording;
use crate::recording::record::{Ending, Kind, RECORD_LEN, Record, Why};

const NAMES: [&str; 8] =
    ["handle_read", "handle_write", "handle_timeout", "Echo", "Listener", "poll", "handle_wake", "echo"];

/// A loop by hand, whose clock goes on when it is told to.
#[derive(Default)]
pub(super) struct Hand {
    records: Vec<Record>,
    pub(super) now: u64,
    pub(super) cpu: u64,
    pub(super) late: u64,
}

fn name(text: &str) -> u16 {
    let at = NAMES.iter().position(|name| *name == text).expect("a name of these tests");
    u16::try_from(at + 1).expect("few")
}

/// `Echo 3.1` and so on.
pub(super) fn key(index: u64) -> u64 {
    1 << 32 | index
}

impl Hand {
    pub(super) fn new() -> Self {
        let mut hand = Self::default();
        for index in 1..8 {
            hand.push(Record { key: key(index), name: name("Echo"), a: u32::MAX, ..Record::new(Kind::New) });
        }
        hand
    }

    pub(super) fn push(&mut self, record: Record) -> &mut Self {
        self.records.push(Record { time: self.now, ..record });
        self
    }

    /// A wait of this length, and the beginning of a turn.
    pub(super) fn turn(&mut self, waited: u64) -> &mut Self {
        self.push(Record::new(Kind::Wait));
        self.now += waited;
        self.push(Record::new(Kind::Turn))
    }

    pub(super) fn clock(&mut self) -> &mut Self {
        let (b, key) = (self.cpu, self.late);
        self.push(Record { b, key, ..Record::new(Kind::Clock) })
    }

    pub(super) fn enter(&mut self, key: u64, hook: &str, why: Why) -> &mut Self {
        self.push(Record { key, name: name(hook), code: why as u8, ..Record::new(Kind::Enter) })
    }

    pub(super) fn exit(&mut self, key: u64, hook: &str, ending: Ending) -> &mut Self {
        self.push(Record { key, name: name(hook), code: ending as u8, ..Record::new(Kind::Exit) })
    }

    /// A hook of this length.
    pub(super) fn hook(&mut self, key: u64, hook: &str, why: Why, took: u64) -> &mut Self {
        self.enter(key, hook, why).now += took;
        self.exit(key, hook, Ending::Returned)
    }

    pub(super) fn event(&mut self, key: u64, bits: u8) -> &mut Self {
        self.push(Record { key, code: bits, name: bits.into(), ..Record::new(Kind::Event) })
    }

    pub(super) fn moves(&mut self, kind: Kind, key: u64, bytes: u64, code: u8) -> &mut Self {
        self.push(Record { key, code, b: bytes, ..Record::new(kind) })
    }

    pub(super) fn recording(&self, kind: &str) -> Recording {
        self.of_worker(kind, 1)
    }

    pub(super) fn of_worker(&self, kind: &str, worker: usize) -> Recording {
        let mut head =
            format!("stheno recording 1\nloop {kind}\npid {worker}\nworker {worker}\nbegan 100.000000000\n");
        for (number, name) in (1..).zip(NAMES) {
            head += &format!("name {number} {name}\n");
        }
        head += &format!("records {}\n\n", self.records.len());
        let mut bytes = head.into_bytes();
        bytes.reserve(self.records.len() * RECORD_LEN);
        self.records.iter().for_each(|record| bytes.extend_from_slice(&record.to_bytes()));
        Recording::parse(&bytes).expect("a recording")
    }

    pub(super) fn findings(&self, kind: &str) -> Vec<Finding> {
        Doctor::examine(&self.recording(kind))
    }

    pub(super) fn kinds(&self, kind: &str) -> Vec<FindingKind> {
        self.findings(kind).iter().map(|finding| finding.kind).collect()
    }
}
