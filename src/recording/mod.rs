//! Recordings of an event loop: what it waited for, what it called, what moved.
//!
//! ```text
//! loop ──► Recorder ──► ring of 32-byte records ──► file ──► Recording ──► lines, findings, JSON, page
//!                  └──► a line for each turn (`--loop`)
//! ```
//!
//! A [`Recorder`] takes what a loop does, in calls that allocate nothing, and keeps the last 32,768 records. The reactor
//! calls it as its probe; the loops of the ladder call it by hand. A [`Recording`] is a file that was read again.
//! docs/RECORDINGS.md describes the file.

mod chrome;
mod doctor;
mod file;
mod finding;
mod lines;
mod live_doctor;
mod names;
mod reader;
mod record;
mod recorder;
mod ring;
mod step;

pub use doctor::Doctor;
pub use file::{About, Keys, Output};
pub use finding::{Finding, FindingKind, Severity};
pub use names::HOOKS;
pub use reader::Recording;
pub use record::{
    ENDLESS, Ending, Kind, NO_KEY, Origin, RECORD_LEN, Record, Registration, TASK_BIT, Why, moved, ready,
};
pub use recorder::{Recorder, RecorderOptions};
