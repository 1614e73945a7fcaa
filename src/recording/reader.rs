//! Reads the file of a recording.

use std::collections::HashMap;

use super::file::{Keys, MAGIC};
use super::lines::{self, Book};
use super::record::{Kind, RECORD_LEN, Record};

/// A recording that was read from a file.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The facts of the head that are no names, channels or totals: `program`, `loop`, `tells`, `pid`, `began` …
    pub facts: HashMap<String, String>,
    /// Sums over the whole run: `turns`, `read`, `written`, `responses`.
    pub totals: HashMap<String, u64>,
    /// What the keys are.
    pub keys: Keys,
    /// All records, oldest first.
    pub records: Vec<Record>,
    /// The text of the program; empty if it is not there.
    pub source: String,
    names: HashMap<u16, String>,
    /// The keys of the head's channels.
    open: Vec<u64>,
    /// The type of each channel that is open at the end or new in the records.
    types: HashMap<u64, u16>,
    /// The names of clients by their addresses.
    clients: HashMap<String, String>,
    /// Connections that waited to be accepted.
    queued: Vec<Queued>,
}

/// A connection in the accept queue, in nanoseconds since the recording began; without an end if it was never accepted.
#[derive(Clone, Debug)]
struct Queued {
    address: String,
    since: u64,
    until: Option<u64>,
}

/// A shorter part of a hook in which a connection waits says nothing.
const SHORT: u64 = 1_000_000;

impl Recording {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// A line that says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let end =
            bytes.windows(2).position(|two| two == b"\n\n").ok_or("it has no head: is it a recording?")?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "its head is not UTF-8")?;
        let mut lines = head.lines();
        match lines.next() {
            Some(MAGIC) => {}
            Some(line) if line.starts_with("stheno recording ") => {
                return Err(format!("its format is newer than this program: {line:?}"));
            }
            _ => return Err("it is no recording".into()),
        }
        let mut recording = Self::default();
        for line in lines {
            recording.take_line(line).ok_or_else(|| format!("a line of its head is wrong: {line:?}"))?;
        }
        let number =
            |word: &str| recording.facts.get(word).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        let (count, source) = (number("records"), number("source"));
        let body = &bytes[end + 2..];
        let length = count.checked_mul(RECORD_LEN).filter(|length| *length <= body.len());
        let (records, rest) = body.split_at(length.ok_or("it ends within its records")?);
        let records = records.as_chunks().0.iter().filter_map(Record::from_bytes);
        recording.records = records.collect();
        recording.source = String::from_utf8_lossy(rest.get(..source).unwrap_or_default()).into_owned();
        for record in recording.records.iter().filter(|record| record.kind == Kind::New) {
            recording.types.insert(record.key, record.name);
        }
        Ok(recording)
    }

    /// Takes a line of the head; `None` if it is malformed. Unknown words are kept as facts.
    fn take_line(&mut self, line: &str) -> Option<()> {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "name" => {
                let (number, text) = value.split_once(' ')?;
                self.names.insert(number.parse().ok()?, text.into());
            }
            "channel" => {
                let mut words = value.split(' ');
                let (index, generation) = words.next()?.split_once('.')?;
                let key = generation.parse::<u64>().ok()? << 32 | index.parse::<u64>().ok()?;
                self.types.insert(key, words.next()?.parse().ok()?);
                self.open.push(key);
            }
            "total" => {
                let (name, sum) = value.split_once(' ')?;
                self.totals.insert(name.into(), sum.parse().ok()?);
            }
            "client" => {
                let (name, address) = value.split_once(' ')?;
                self.clients.insert(address.into(), name.into());
            }
            "queued" => {
                let mut words = value.split(' ');
                let (address, since) = (words.next()?.into(), words.next()?.parse().ok()?);
                let until = words.next().map(str::parse).transpose().ok()?;
                self.queued.push(Queued { address, since, until });
            }
            "keys" => {
                let all = [Keys::Slab, Keys::Descriptor, Keys::Token];
                self.keys = all.into_iter().find(|keys| keys.word() == value)?;
            }
            _ => drop(self.facts.insert(word.into(), value.into())),
        }
        Some(())
    }

    /// The turns, each from its wait on, with their numbers; the first one may be what happened before the first wait.
    pub fn turns(&self) -> impl Iterator<Item = (u64, &[Record])> {
        let is_wait = |record: &Record| record.kind == Kind::Wait;
        let slices: Vec<&[Record]> = self.records.chunk_by(|_, next| !is_wait(next)).collect();
        let waits =
            slices.iter().filter(|slice| slice.iter().any(|record| record.kind == Kind::Turn)).count() as u64;
        // The last turn has the number of all turns. A wait that is not over belongs to no turn yet.
        let first = self.totals.get("turns").copied().unwrap_or(waits).saturating_sub(waits);
        let mut number = first;
        slices.into_iter().map(move |slice| {
            number += u64::from(slice.iter().any(|record| record.kind == Kind::Turn));
            (number, slice)
        })
    }

    /// The type of a channel; empty if nothing says it.
    #[must_use]
    pub fn type_name(&self, key: u64) -> &str {
        self.name(self.type_of(key))
    }

    /// The lines that `--loop` prints of these turns.
    #[must_use]
    pub fn lines(&self) -> String {
        self.turns().map(|(number, records)| lines::of_turn(number, records, self)).collect()
    }

    /// The channels that are open at the end, as far as the file says.
    pub(super) fn open_keys(&self) -> impl Iterator<Item = u64> {
        self.open.iter().copied()
    }

    /// A key as people read it: `3.1`.
    #[must_use]
    pub fn show_key(&self, key: u64) -> String {
        self.keys.show(key)
    }

    /// A channel as people read it: `Echo 3.1`.
    #[must_use]
    pub fn label_of(&self, key: u64) -> String {
        self.label(key)
    }

    /// The text of a name; empty for 0.
    #[must_use]
    pub fn name(&self, number: u16) -> &str {
        self.names.get(&number).map_or("", String::as_str)
    }
}

impl Book for Recording {
    fn name(&self, number: u16) -> &str {
        self.name(number)
    }

    fn type_of(&self, key: u64) -> u16 {
        self.types.get(&key).copied().unwrap_or_default()
    }

    fn keys(&self) -> Keys {
        self.keys
    }

    fn kind(&self) -> &str {
        self.facts.get("loop").map_or("", String::as_str)
    }

    fn is_from_outside(&self) -> bool {
        self.facts.get("tells").is_some_and(|tells| tells.split(' ').any(|word| word == "call"))
    }

    fn queued(&self, from: u64, to: u64) -> Vec<&str> {
        let waits = |one: &&Queued| one.until.unwrap_or(u64::MAX).min(to) >= one.since.max(from) + SHORT;
        self.queued
            .iter()
            .filter(waits)
            .map(|one| self.clients.get(&one.address).unwrap_or(&one.address).as_str())
            .collect()
    }
}
