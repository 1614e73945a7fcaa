//! What a rung tells of its loop, for `--loop`, `--record` and `--step` (docs/RECORDINGS.md). Without these options every
//! function here does nothing, and a rung can be read without them.
//!
//! A rung on the reactor gives it a [`probe`]; a loop that is written by hand tells by itself: `wait`, `turn`, and
//! in each of its handlers a [`hook`].

#![allow(dead_code, reason = "each rung uses a part of it")]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::task::Context;
use std::time::Duration;

use stheno::clock::Instant;
use stheno::reactor::Recorded;
use stheno::recording::{
    About, Ending, Keys, Output, Recorder, RecorderOptions, Registration, TASK_BIT, Why, moved, ready,
};

use crate::seed;

/// The end of `--help`.
const HELP: &str = "
Options of the loop:
  --loop            print a line for each turn of the loop
  --record          file to record the loop in
  --record-when-turn-exceeds
                    milliseconds: write the recording when a turn takes longer
  --step            wait for Enter before each turn; `run` goes on until `pause`
";

#[derive(Default)]
struct Options {
    lines: bool,
    step: bool,
    record: Option<PathBuf>,
    exceeds: Option<Duration>,
}

thread_local! {
    static OPTIONS: RefCell<Options> = RefCell::default();
    static TASKS: Cell<u64> = const { Cell::new(0) };
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

/// As [`seed::main`], with the options of the loop.
pub(crate) fn main<A: seed::Options>(program: fn(A) -> io::Result<()>) -> ExitCode {
    let mut words = seed::words();
    let code = match Options::take(&mut words) {
        Ok(options) => {
            OPTIONS.set(options);
            let asks = seed::asks_for_help(&words);
            let code = seed::run(&words, program);
            if asks {
                print!("{HELP}");
            }
            code
        }
        Err(line) => return seed::complain(&line),
    };
    // A loop by hand ends here; the reactor has told its end.
    finish();
    code
}

impl Options {
    /// Takes the options of the loop out of the words of the command line.
    fn take(words: &mut Vec<String>) -> Result<Self, String> {
        let (mut options, mut rest) = (Self::default(), Vec::new());
        let mut given = std::mem::take(words).into_iter();
        while let Some(word) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("No value provided for option '{word}'."));
            match word.as_str() {
                "--loop" => options.lines = true,
                "--step" => options.step = true,
                "--record" => options.record = Some(value()?.into()),
                "--record-when-turn-exceeds" => {
                    let millis = value()?.parse().map_err(|_| format!("{word}: give milliseconds"))?;
                    options.exceeds = Some(Duration::from_millis(millis));
                }
                _ => rest.push(word),
            }
        }
        if options.exceeds.is_some() && options.record.is_none() {
            return Err("--record-when-turn-exceeds needs a file: give --record".into());
        }
        *words = rest;
        Ok(options)
    }
}

/// The probe of a rung on the reactor, whose text is `source`; `None` without the options.
pub(crate) fn probe(kind: &'static str, source: &'static str) -> io::Result<Option<Recorded>> {
    start(kind, Keys::Slab, "read write register hook state clock", source)?;
    Ok(RECORDER.with_borrow(|recorder| recorder.clone().map(Recorded::new)))
}

/// Starts to record a loop of this kind that tells by itself.
pub(crate) fn start(
    kind: &'static str,
    keys: Keys,
    tells: &'static str,
    source: &'static str,
) -> io::Result<()> {
    let Options { lines, step, record, exceeds } = OPTIONS.take();
    if !lines && !step && record.is_none() {
        return Ok(());
    }
    let cannot =
        |path: &Path, error| io::Error::other(format!("cannot record in {}: {error}", path.display()));
    let create = |path: &PathBuf| Output::create(path).map_err(|error| cannot(path, error));
    let output = record.as_ref().map(create).transpose()?;
    let about = About { program: seed::NAME.into(), kind, tells, keys, source, ..About::default() };
    let options = RecorderOptions { about, output, exceeds, lines, step, ..RecorderOptions::default() };
    RECORDER.set(Some(Recorder::new(options)));
    Ok(())
}

fn tell(call: impl FnOnce(&Recorder)) {
    RECORDER.with_borrow(|recorder| recorder.as_ref().map(call));
}

/// The loop is about to wait. `asked`: how many descriptors it asks the kernel about; 0 if the kernel keeps the list.
pub(crate) fn wait(asked: usize, timeout: Option<Duration>) {
    tell(|recorder| recorder.wait(asked, timeout));
}

/// The wait is over.
pub(crate) fn turn(events: usize) {
    tell(|recorder| recorder.turn(events, Instant::now()));
}

/// The kernel has reported this of a descriptor or token.
pub(crate) fn event(key: impl Into<ToldKey>, readable: bool, writable: bool) {
    let bits = ready::of(readable, writable);
    tell(|recorder| recorder.event(key.into().0, bits, bits));
}

/// A client, or the listener, is there.
pub(crate) fn add(key: impl Into<ToldKey>, name: &'static str, fd: i32, peer: Option<SocketAddr>) {
    tell(|recorder| recorder.add(key.into().0, name, u32::try_from(fd).ok(), peer));
}

/// It is registered with the kernel.
pub(crate) fn register(key: impl Into<ToldKey>, readable: bool, writable: bool) {
    let bits = ready::of(readable, writable);
    tell(|recorder| recorder.watch(key.into().0, Registration::Register, bits));
}

/// Tells what a read has returned, and returns it; an empty one is the end.
pub(crate) fn read<B: AsRef<[u8]>>(key: impl Into<ToldKey>, result: io::Result<B>) -> io::Result<B> {
    let length = result.as_ref().map(|bytes| bytes.as_ref().len());
    let end = if matches!(length, Ok(0)) { moved::END } else { 0 };
    let (bytes, bits) = outcome(length);
    tell(|recorder| recorder.read(key.into().0, bytes, bits | end));
    result
}

/// Tells what a write of `wanted` bytes has returned, and returns it.
pub(crate) fn write(key: impl Into<ToldKey>, wanted: usize, result: io::Result<usize>) -> io::Result<usize> {
    let (bytes, bits) = outcome(result.as_ref().copied());
    let short = if matches!(result, Ok(count) if count < wanted) { moved::BLOCKED } else { 0 };
    tell(|recorder| recorder.write(key.into().0, bytes, bits | short));
    result
}

fn outcome(result: Result<usize, &io::Error>) -> (u64, u8) {
    match result {
        Ok(count) => (count as u64, 0),
        Err(error) if error.kind() == ErrorKind::WouldBlock => (0, moved::BLOCKED),
        Err(_) => (0, moved::FAILED),
    }
}

/// As [`read`], for the task that runs; 0 is the end.
pub(crate) fn read_in_task(result: io::Result<usize>) -> io::Result<usize> {
    let end = if matches!(result, Ok(0)) { moved::END } else { 0 };
    let (bytes, bits) = outcome(result.as_ref().copied());
    tell(|recorder| recorder.read(recorder.caller(), bytes, bits | end));
    result
}

/// As [`write`], for the task that runs.
pub(crate) fn write_in_task(result: io::Result<usize>) -> io::Result<usize> {
    let (bytes, bits) = outcome(result.as_ref().copied());
    tell(|recorder| recorder.write(recorder.caller(), bytes, bits));
    result
}

/// It is closed, and loses `unsent` bytes.
pub(crate) fn close(key: impl Into<ToldKey>, unsent: usize) {
    tell(|recorder| recorder.close(key.into().0, unsent as u64, false));
}

/// A waker was called for a task.
pub(crate) fn wake(task: Task) {
    tell(|recorder| recorder.wake(ToldKey::from(task).0));
}

/// A handler runs until the returned value is dropped.
pub(crate) fn hook(key: impl Into<ToldKey>, name: &'static str, why: Why) -> Hook {
    let key = key.into().0;
    tell(|recorder| recorder.enter(key, name, why));
    Hook { key, name, ending: Ending::Returned }
}

/// A handler that runs.
#[must_use = "it ends when this is dropped"]
pub(crate) struct Hook {
    key: u64,
    name: &'static str,
    ending: Ending,
}

impl Hook {
    /// How it will have ended.
    pub(crate) fn set_ending(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let ending = if std::thread::panicking() { Ending::Panicked } else { self.ending };
        tell(|recorder| recorder.exit(self.key, self.name, ending));
    }
}

/// Tells each poll of a task of a runtime, and its end.
pub(crate) fn task<T>(peer: Option<SocketAddr>, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let task = Task(TASKS.get() + 1);
    TASKS.set(task.0);
    add(task, "task", -1, peer);
    async move {
        let (mut future, mut why) = (pin!(future), Why::New);
        let poll_it = |cx: &mut Context<'_>| {
            let mut hook = hook(task, "poll", std::mem::replace(&mut why, Why::Wake));
            let poll = future.as_mut().poll(cx);
            if poll.is_pending() {
                hook.set_ending(Ending::Pending);
            }
            poll
        };
        let output = poll_fn(poll_it).await;
        close(task, 0);
        output
    }
}

/// The loop has ended.
pub(crate) fn finish() {
    if let Some(recorder) = RECORDER.take() {
        recorder.finish();
    }
}

/// What a rung names a channel by.
pub(crate) struct ToldKey(u64);

impl From<i32> for ToldKey {
    fn from(descriptor: i32) -> Self {
        Self(u64::try_from(descriptor).unwrap_or(u64::MAX))
    }
}

impl From<mio::Token> for ToldKey {
    fn from(token: mio::Token) -> Self {
        Self(token.0 as u64)
    }
}

/// The number of a task.
#[derive(Clone, Copy)]
pub(crate) struct Task(pub(crate) u64);

impl From<Task> for ToldKey {
    fn from(task: Task) -> Self {
        Self(task.0 | TASK_BIT)
    }
}
