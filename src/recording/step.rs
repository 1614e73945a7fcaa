//! Steps through a loop from standard input: for rungs, which serve nobody but a student.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys::readiness;

/// Whether the loop runs freely, or waits for a line before each turn.
#[derive(Debug, Default)]
pub(super) struct Step {
    runs: bool,
    is_over: bool,
}

impl Step {
    /// Waits for a line: an empty one is one turn, `run` goes on until `pause`. While the loop runs, it does not wait here.
    /// At the end of input it runs.
    pub(super) fn before_turn(&mut self) {
        while !self.is_over && (!self.runs || has_line()) {
            match read_line().as_deref() {
                Some("run") => self.runs = true,
                Some("pause") => self.runs = false,
                Some(_) if self.runs => {}
                Some(_) => return,
                None => self.is_over = true,
            }
        }
    }
}

/// A line of standard input; `None` at its end. Nothing is read ahead, so that poll(2) tells whether there is another line.
fn read_line() -> Option<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::read(io::stdin(), &mut byte)) {
            Ok(1) if byte[0] == b'\n' => return Some(String::from_utf8_lossy(&line).trim().to_string()),
            Ok(1) => line.push(byte[0]),
            _ => return None,
        }
    }
}

fn has_line() -> bool {
    readiness::wait_readable(io::stdin().as_fd(), Some(Duration::ZERO)).unwrap_or(false)
}
