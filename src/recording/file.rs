//! A recording as a file. docs/RECORDINGS.md describes it.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::record::{NO_KEY, RECORD_LEN, Record, TASK_BIT};
use super::ring::Ring;

/// The first line of a file.
pub(super) const MAGIC: &str = "stheno recording 1";

/// What the key of a channel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Index and generation of a slab.
    #[default]
    Slab,
    /// A descriptor.
    Descriptor,
    /// A number that the program gives.
    Token,
}

impl Keys {
    /// The word of the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Slab => "slab",
            Self::Descriptor => "descriptor",
            Self::Token => "token",
        }
    }

    /// A key as people read it.
    #[must_use]
    pub fn show(self, key: u64) -> String {
        match self {
            _ if key & TASK_BIT != 0 => format!("task {}", key & u64::from(u32::MAX)),
            Self::Slab => index_and_generation(key),
            Self::Descriptor => format!("fd {key}"),
            Self::Token => format!("token {key}"),
        }
    }
}

/// A key as the head has it.
fn index_and_generation(key: u64) -> String {
    format!("{}.{}", key & u64::from(u32::MAX), key >> 32)
}

/// What the head of a file says of the program.
#[derive(Clone, Debug)]
pub struct About {
    /// The name of the program.
    pub program: String,
    /// The kind of its loop: `select`, `poll`, `mio`, `reactor`, `futures` or `tokio`.
    pub kind: &'static str,
    /// What this loop is able to tell, in words.
    pub tells: &'static str,
    /// What its keys are.
    pub keys: Keys,
    /// The number of the worker, from 1; 0 for a program without workers.
    pub worker: usize,
    /// The text of the program, to be shown beside its hooks.
    pub source: &'static str,
}

impl Default for About {
    fn default() -> Self {
        Self {
            program: "stheno".into(),
            kind: "reactor",
            tells: "read write register hook state clock",
            keys: Keys::Slab,
            worker: 0,
            source: "",
        }
    }
}

/// The file of a recording. It stays open, so a worker in its sandbox can write it.
#[derive(Debug)]
pub struct Output(File);

impl Output {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// As open(2).
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().write(true).create(true).truncate(true).open(path)?))
    }

    /// Writes the whole recording over what is there. A sandbox has no ftruncate(2): a longer earlier recording keeps its end,
    /// which readers ignore.
    pub(super) fn write(&mut self, about: &About, ring: &Ring) -> io::Result<()> {
        let records: Vec<&Record> = ring.whole().collect();
        let mut bytes = head(about, ring, records.len()).into_bytes();
        bytes.reserve(records.len() * RECORD_LEN + about.source.len());
        records.iter().for_each(|record| bytes.extend_from_slice(&record.to_bytes()));
        bytes.extend_from_slice(about.source.as_bytes());
        // A pipe has no position.
        let _ = self.0.seek(SeekFrom::Start(0));
        self.0.write_all(&bytes)
    }
}

/// The head, with its empty line. Writing into a `String` cannot fail.
fn head(about: &About, ring: &Ring, records: usize) -> String {
    let mut head =
        format!("{MAGIC}\nprogram {}\nloop {}\ntells {}\n", about.program, about.kind, about.tells);
    let began = ring.began.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let _ = writeln!(head, "keys {}\npid {}\nworker {}", about.keys.word(), std::process::id(), about.worker);
    let _ = writeln!(head, "began {}.{:09}", began.as_secs(), began.subsec_nanos());
    let totals = ring.totals;
    let _ = writeln!(head, "total turns {}\ntotal read {}", totals.turns, totals.read);
    let _ = writeln!(head, "total written {}\ntotal responses {}", totals.written, totals.responses);
    for (number, name) in ring.names.iter() {
        let _ = writeln!(head, "name {number} {name}");
    }
    for known in ring.channels.iter().flatten().filter(|known| !known.is_closed) {
        let _ = write!(head, "channel {} {}", index_and_generation(known.key), known.name);
        if known.descriptor != u32::MAX {
            let _ = write!(head, " fd={}", known.descriptor);
        }
        if known.state != 0 {
            let _ = write!(head, " state={}", known.state);
        }
        if known.parent != NO_KEY {
            let _ = write!(head, " parent={}", index_and_generation(known.parent));
        }
        if let Some(peer) = known.peer {
            let _ = write!(head, " peer={peer}");
        }
        head.push('\n');
    }
    let _ = writeln!(head, "records {records}\nsource {}\n", about.source.len());
    head
}
