//! RULES C: what attackers can make the server spend. Options shorten the times. Figures that depend on the machine
//! are printed, and asserted with a wide margin.

mod fields;
mod limits;
mod memory;
mod readers;
mod requests;
mod timeouts;

use std::os::unix::process::CommandExt;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::process::cpu_time;
use crate::support::{Folder, Server};

const GET: &str = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";

const SECOND: Duration = Duration::from_secs(1);

/// The interval at which a slow client does something.
const SLOWLY: Duration = Duration::from_millis(100);

/// The pause of a probe between two requests.
const PAUSE: Duration = Duration::from_millis(10);

fn serve(options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    folder.write_sparse("sparse", 200_000_000);
    // Without cache, the descriptors are those of connections and of files that are being sent.
    let server = Server::start(&folder.root(), &[&["--file-cache", "0"], options].concat());
    // A response shows that the worker is set up.
    assert_eq!(server.connect().get("/ok", "").status, 200);
    (folder, server)
}

/// As [`serve`], with at most `most` descriptors for the server.
fn serve_with_descriptors(most: u64, options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    let options = [&["--file-cache", "0"], options].concat();
    let server = Server::start_with(&folder.root(), &options, |command| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        // SAFETY: setrlimit(2) is one system call, and nothing else happens between fork and exec.
        unsafe { command.pre_exec(move || Ok(setrlimit(Resource::Nofile, limit)?)) };
    });
    (folder, server)
}

/// The percentage of one core that the process uses during `time`.
fn cpu_share(pid: i32, time: Duration) -> f64 {
    let before = cpu_time(pid);
    std::thread::sleep(time);
    (cpu_time(pid) - before).as_secs_f64() / time.as_secs_f64() * 100.0
}
