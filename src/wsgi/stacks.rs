//! Where threads are in the application: their stacks, for the log.

use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use log::warn;
use pyo3::prelude::*;

use super::activity::Silence;

/// Frames of a stack that are shown.
const MAX_FRAMES: usize = 40;

/// Logs the stack of each of these threads. A thread of its own does it: the loop never waits for the interpreter, which a
/// thread that hangs may hold. Returns that thread.
pub(super) fn log_stacks(threads: Vec<Silence>) -> Option<JoinHandle<()>> {
    let spawned = Builder::new().name("wsgi-stacks".into()).spawn(move || {
        Python::attach(|py| {
            for Silence { number, identifier, time, .. } in threads {
                let seconds = time.as_secs_f64();
                match stack(py, identifier) {
                    Ok(stack) => warn!("wsgi-{number}, for {seconds:.0} s: {stack}"),
                    Err(error) => warn!("wsgi-{number}, for {seconds:.0} s, has no stack: {error}"),
                }
            }
        });
    });
    spawned.inspect_err(|error| warn!("the stacks of the threads are not logged: {error}")).ok()
}

/// As [`log_stacks`], at the end of a worker: waits for the lines, at most for `longest`.
pub(super) fn log_last_stacks(threads: Vec<Silence>, longest: Duration) {
    let begun = Instant::now();
    let Some(writer) = log_stacks(threads) else { return };
    while !writer.is_finished() && begun.elapsed() < longest {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The frames of a thread in one line, the innermost first.
fn stack(py: Python<'_>, identifier: u64) -> PyResult<String> {
    let frames = py.import("sys")?.call_method0("_current_frames")?;
    let mut frame = frames.get_item(identifier)?;
    let mut lines = Vec::new();
    while !frame.is_none() && lines.len() < MAX_FRAMES {
        let code = frame.getattr("f_code")?;
        let name: String = code.getattr("co_name")?.extract()?;
        let file: String = code.getattr("co_filename")?.extract()?;
        let line: Option<u32> = frame.getattr("f_lineno")?.extract()?;
        lines.push((name, file, line.unwrap_or_default()));
        frame = frame.getattr("f_back")?;
    }
    // The outermost frames are those of `threading`, in every thread.
    while lines.last().is_some_and(|(_, file, _)| file.ends_with("/threading.py")) {
        lines.pop();
    }
    let lines = lines.iter().map(|(name, file, line)| format!("{name} ({file}:{line})"));
    Ok(lines.collect::<Vec<_>>().join(" < "))
}
