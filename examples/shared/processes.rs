//! The part of Python's `multiprocessing` that the lab's programs use.

use std::io;

use rustix::io::Errno;
use rustix::process::WaitOptions;
use stheno::sys::process::{self, Forked, Pid};
use stheno::sys::signal::{self, Signal};

use crate::seed;

/// Forks; the child has the name `Process-NUMBER`, and Ctrl+C ends it at once. All signals are blocked meanwhile,
/// because the child first has to drop the parent's handlers.
pub(crate) fn fork(number: usize) -> io::Result<Forked> {
    let _held_back = signal::Blocked::all();
    let forked = process::fork()?;
    if matches!(forked, Forked::Child) {
        signal::reset(&[Signal::Interrupt, Signal::Terminate])?;
        seed::name_process(number);
    }
    Ok(forked)
}

/// Ends all children, and waits for their exit. (`Process.terminate`, `Process.join`)
pub(crate) fn terminate(children: &[Pid]) {
    for child in children {
        // The child may have ended by itself: Ctrl+C goes to every process of the terminal.
        let _ = process::send(*child, Signal::Terminate);
    }
    while let Ok(Some(_)) | Err(Errno::INTR) = rustix::process::wait(WaitOptions::empty()) {}
}
