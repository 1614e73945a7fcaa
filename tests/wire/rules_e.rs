//! RULES E: epoll and TCP. Figures that depend on the machine are printed, and asserted with a wide margin.

mod accepting;
mod closing;
mod partial_writes;
mod sending;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::rules::not_run;
use crate::support::server::send;
use crate::support::{Folder, Server};

const GET: &str = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";

const SECOND: Duration = Duration::from_secs(1);

fn serve(options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    // Without cache, the descriptors are those of connections and of files that are being sent.
    let server = Server::start(&folder.root(), &[&["--file-cache", "0"], options].concat());
    assert_eq!(server.connect().get("/ok", "").status, 200);
    (folder, server)
}

/// strace(1) on a running process, which injects errors into some of its system calls.
struct Strace(Child);

impl Strace {
    /// Returns `None` if strace is missing or may not attach.
    fn inject(pid: i32, what: &[&str]) -> Option<Self> {
        let mut command = Command::new("strace");
        // -f: all of its threads.
        command.args(["-f", "-o", "/dev/null", "-p", &pid.to_string()]).stderr(Stdio::piped());
        for inject in what {
            let call = inject.split(':').next().expect("a call");
            command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={inject}")]);
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
        Some(Self(child))
    }
}

/// Detaches from the process.
impl Drop for Strace {
    fn drop(&mut self) {
        send(i32::try_from(self.0.id()).expect("a pid"), Signal::INT);
        let _ = self.0.wait();
    }
}

const NO_STRACE: &str = "errors are injected by strace(1), which is missing or may not attach";

#[test]
fn e20_kqueue_is_not_run() {
    not_run("E20", "no system with kqueue here; the poller is mio's, and our code does not depend on it");
}
