//! RULES D: master and workers. Figures that depend on the machine are printed, and asserted with a wide
//! margin.

mod activation;
mod logs;
mod notify;
mod orders;
mod pidfile;
mod regulars;
mod reload;
mod signals;
mod stopping;
mod streams;
mod supervision;
mod terminal;
mod together;
mod upgrade;

use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::server::{children, eventually, is_alive, send};
use crate::support::{Folder, Server};

const SECOND: Duration = Duration::from_secs(1);

/// The end of the log line of a reload.
const RELOADED: &str = "has been read again";

fn serve(options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), options);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    (folder, server)
}

/// A server in the background of any terminal that the test may run in.
fn serve_in_background(options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    let server = Server::start_with(&folder.root(), options, |command| {
        command.process_group(0);
    });
    (folder, server)
}

/// A master that is not a child of this process; it ends with its test.
struct Orphan(i32);

impl Drop for Orphan {
    fn drop(&mut self) {
        if is_alive(self.0) {
            send(self.0, Signal::INT);
            eventually("it is gone", || !is_alive(self.0));
        }
    }
}

/// Waits until the server has `count` workers; returns how long that took.
fn until_workers(master: i32, count: usize) -> Duration {
    let started = Instant::now();
    eventually(&format!("{count} workers"), || children(master).len() == count);
    started.elapsed()
}

/// The median.
fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
