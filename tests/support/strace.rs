//! Errors of system calls, injected into a running process.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::Signal;

use super::server::send;

/// strace(1) on a running process, which injects errors into some of its system calls.
#[derive(Debug)]
pub struct Strace {
    child: Child,
    /// It reports each new process, and ends when nothing can read that.
    _said: BufReader<ChildStderr>,
}

impl Strace {
    /// Returns `None` if strace is missing or may not attach.
    pub fn inject(pid: i32, what: &[&str]) -> Option<Self> {
        let mut command = Command::new("strace");
        // -f: all of its threads.
        command.args(["-f", "-o", "/dev/null", "-p", &pid.to_string()]).stderr(Stdio::piped());
        // A later `trace` replaces an earlier one.
        let calls: Vec<&str> = what.iter().filter_map(|inject| inject.split(':').next()).collect();
        command.args(["-e", &format!("trace={}", calls.join(","))]);
        for inject in what {
            command.args(["-e", &format!("inject={inject}")]);
        }
        let mut child = command.spawn().ok()?;
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("standard error"));
        while !said.contains("attached") {
            if stderr.read_line(&mut said).ok()? == 0 {
                let _ = child.wait();
                return None;
            }
        }
        Some(Self { child, _said: stderr })
    }
}

/// Detaches from the process.
impl Drop for Strace {
    fn drop(&mut self) {
        send(i32::try_from(self.child.id()).expect("a pid"), Signal::INT);
        let _ = self.child.wait();
    }
}

pub const NO_STRACE: &str = "errors are injected by strace(1), which is missing or may not attach";
