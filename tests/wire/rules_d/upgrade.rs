//! SIGUSR2: a new program takes over.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::regulars::Regulars;
use super::{Orphan, until_workers};
use crate::support::rules::holds;
use crate::support::server::{command, eventually, is_alive, send};
use crate::support::{Folder, Server};

/// A server that runs from a copy of the program, which the test can replace.
struct Installed {
    folder: Folder,
    program: PathBuf,
    pidfile: PathBuf,
    server: Server,
}

impl Installed {
    fn start(options: &[&str]) -> Self {
        let folder = Folder::new();
        let (program, pidfile) = (folder.beside("stheno"), folder.beside("pid"));
        install(Path::new(command().get_program()), &program);
        let mut start = Command::new(&program);
        start.stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("STHENO_FORCE_FALLBACK");
        let mut all = vec!["--pidfile", pidfile.to_str().expect("UTF-8")];
        all.extend(options);
        let server = Server::start_command(start, &folder.root(), &all, |_| {});
        Self { folder, program, pidfile, server }
    }

    /// The process id in the pid file.
    fn pid(&self) -> Option<i32> {
        fs::read_to_string(&self.pidfile).ok()?.trim().parse().ok()
    }

    fn old_pidfile(&self) -> PathBuf {
        self.folder.beside("pid.oldbin")
    }
}

/// Also ends a successor that the test failed to find.
impl Drop for Installed {
    fn drop(&mut self) {
        drop(self.pid().filter(|pid| *pid != self.server.master()).map(Orphan));
    }
}

/// Replaces the program in one step, because a running one cannot be written to. Another process makes the
/// copy: a child of another test would otherwise inherit the file open for writing, and exec would fail.
fn install(program: &Path, place: &Path) {
    let beside = place.with_extension("new");
    let copied = Command::new("cp").args([program, &beside]).status().expect("cp");
    assert!(copied.success(), "{} cannot be copied", program.display());
    fs::rename(&beside, place).expect("a rename");
}

/// Whether this process ignores SIGPIPE.
fn ignores_sigpipe(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    u64::from_str_radix(mask.trim(), 16).expect("hex") & 1 << 12 != 0
}

#[test]
fn d13_an_upgrade_fails_no_request() {
    const UPGRADES: usize = 10;
    let mut installed = Installed::start(&["-w", "2"]);
    let (address, program) = (installed.server.address(), PathBuf::from(command().get_program()));
    let regulars = Regulars::start(address, 8);
    let mut masters = vec![Orphan(installed.server.master())];
    for _ in 0..UPGRADES {
        let old = masters[masters.len() - 1].0;
        install(&program, &installed.program);
        send(old, Signal::USR2);
        eventually("the pid file has the next master", || installed.pid().is_some_and(|pid| pid != old));
        masters.push(Orphan(installed.pid().expect("a pid")));
        regulars.wait_for_more(100);
        eventually("the old master is gone", || !is_alive(old));
        eventually("its pid file is gone", || !installed.old_pidfile().exists());
    }
    let last = masters[UPGRADES].0;
    until_workers(last, 2);
    assert!(ignores_sigpipe(last), "RULES D19");
    assert_eq!(installed.server.wait().code(), Some(0));
    let (answered, failures) = regulars.stop();
    assert!(failures.is_empty(), "{} of {answered} failed: {failures:?}", failures.len());
    drop(masters);
    assert!(!installed.pidfile.exists(), "the last master has removed its file");
    std::net::TcpListener::bind(address).expect("the port is free");
    holds(
        "D13",
        format!(
            "{UPGRADES} upgrades, {answered} responses to keep-alive clients, every byte checked: 0 failed"
        ),
        "0 failed",
    );
}

#[test]
fn d13_a_successor_that_fails_changes_nothing() {
    let installed = Installed::start(&["-w", "2"]);
    let (server, regulars) = (&installed.server, Regulars::start(installed.server.address(), 4));
    let failed = "has not taken over";
    for (tries, program) in ["/bin/false", "/bin/true"].into_iter().enumerate() {
        install(Path::new(program), &installed.program);
        server.signal(Signal::USR2);
        eventually("it is logged", || server.count_said(failed) == tries + 1);
        assert_eq!(installed.pid(), Some(server.master()), "the pid file is back");
    }
    fs::remove_file(&installed.program).expect("the program");
    server.signal(Signal::USR2);
    server.wait_for("cannot run ");
    eventually("it is logged", || server.count_said(failed) == 3);
    assert_eq!(server.children(), server.workers);
    let (answered, failures) = regulars.stop();
    assert!(failures.is_empty(), "{} of {answered} failed: {failures:?}", failures.len());
    assert!(!installed.old_pidfile().exists());
    holds(
        "D13",
        "successors /bin/false, /bin/true and a missing one: a line each, the same workers go on, 0 failed",
        "the old one goes on",
    );
}

/// The sockets are passed in the environment; a second upgrade must not see those of the first.
#[test]
fn a_successor_leaves_no_trace_in_the_environment() {
    let installed = Installed::start(&[]);
    let old = installed.server.master();
    send(old, Signal::USR2);
    eventually("the pid file has the next master", || installed.pid().is_some_and(|pid| pid != old));
    let next = Orphan(installed.pid().expect("a pid"));
    eventually("the old master is gone", || !is_alive(old));
    // The second upgrade, by the first successor.
    send(next.0, Signal::USR2);
    eventually("the pid file has the next master", || installed.pid().is_some_and(|pid| pid != next.0));
    let last = Orphan(installed.pid().expect("a pid"));
    assert_eq!(installed.server.connect().get("/ok", "").status, 200);
    drop((next, last));
}
