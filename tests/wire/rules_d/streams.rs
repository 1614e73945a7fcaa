//! Standard streams that take nothing, and what a parent may have done to the signals of the server.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use super::SECOND;
use crate::support::process::{cpu_time, is_installed};
use crate::support::rules::{holds, not_run};
use crate::support::server::{children, command, eventually, is_alive, listening, send};
use crate::support::{Client, Folder, Front, Server};

/// A server that cannot print its address; it ends with its test.
struct Mute(Child);

impl Mute {
    fn start(folder: &Folder, options: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = command();
        command.arg("-r").arg(folder.root()).args(["--port", "0"]).args(options).process_group(0);
        prepare(&mut command);
        Self(command.spawn().expect("the server"))
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid")
    }

    /// Sends TERM, and returns the exit code.
    fn stop(&mut self) -> Option<i32> {
        send(self.pid(), Signal::TERM);
        let mut code = None;
        eventually("it ends", || {
            code = self.0.try_wait().expect("wait").map(|status| status.code());
            code.is_some()
        });
        code.flatten()
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        if self.0.try_wait().expect("wait").is_none() {
            self.stop();
        }
    }
}

/// A pipe without room.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (read, write) = std::io::pipe().expect("a pipe");
    // A second open file description, because the server's end is to block.
    let filler = stheno::sys::descriptor::reopen_for_append(write.as_fd()).expect("the pipe");
    while rustix::io::write(&filler, &[b'\n'; 4096]).is_ok() {}
    while rustix::io::write(&filler, b"\n").is_ok() {}
    (read, write)
}

#[test]
fn d33_a_full_pipe_stops_no_process() {
    let folder = Folder::new();
    let (mut read, write) = full_pipe();
    let mut server = Mute::start(&folder, &["-w", "2"], |command| {
        command.stdout(write.try_clone().expect("a pipe")).stderr(write);
    });
    let (master, workers) = (server.pid(), Front::of_this_crate().processes(2));
    let mut client = Client::connect(listening(server.0.id()));
    assert_eq!(client.get("/ok", "").status, 200);
    eventually("all workers", || children(master).len() == workers);
    let dead = children(master)[0];
    send(dead, Signal::KILL);
    eventually("another takes its place", || {
        let now = children(master);
        now.len() == workers && !now.contains(&dead)
    });
    // The pipe takes lines again, and the first of them is the number of those that it did not take.
    read.read_exact(&mut [0; 65536]).expect("the filling");
    let dead = children(master)[0];
    send(dead, Signal::KILL);
    eventually("another takes its place", || {
        let now = children(master);
        now.len() == workers && !now.contains(&dead)
    });
    let started = Instant::now();
    assert_eq!(server.stop(), Some(0));
    let took = started.elapsed();
    let mut text = String::new();
    read.read_to_string(&mut text).expect("lines");
    assert!(text.contains("lines lost here: 1\n"), "{text}");
    assert!(text.contains("has died") && text.contains("Shutting down"), "{text}");
    holds(
        "D33",
        format!(
            "stdout and stderr a full pipe: it serves, a dead worker is replaced, TERM ends it in {took:.1?}; lost lines are counted"
        ),
        "nothing waits",
    );
}

/// The start-up lines of the successor go nowhere, and it takes over all the same.
#[test]
fn d33_an_upgrade_does_not_wait_for_a_full_pipe() {
    let folder = Folder::new();
    let pidfile = folder.beside("pid");
    let pid = || -> Option<i32> { fs::read_to_string(&pidfile).ok()?.trim().parse().ok() };
    let (_read, write) = full_pipe();
    let options = ["--pidfile", pidfile.to_str().expect("UTF-8")];
    let mut server = Mute::start(&folder, &options, |command| {
        command.stdout(write.try_clone().expect("a pipe")).stderr(write);
    });
    eventually("it serves", || pid() == Some(server.pid()));
    let started = Instant::now();
    send(server.pid(), Signal::USR2);
    eventually("the successor serves", || pid().is_some_and(|pid| pid != server.pid()));
    let _successor = super::Orphan(pid().expect("a pid"));
    eventually("the old one has ended", || server.0.try_wait().expect("wait").is_some());
    let took = started.elapsed();
    assert!(took < 10 * SECOND, "{took:?}");
    holds("D33", format!("there: USR2 hands over in {took:.1?}"), "nothing waits");
}

/// With `stty tostop` a write from the background stops the process, or never ends in one that handles SIGTTOU.
#[test]
fn d33_a_terminal_that_stops_the_background_is_written_to() {
    if !is_installed("script") || !is_installed("bash") {
        return not_run("D33", "without script(1) and bash there is no job in the background of a terminal");
    }
    let folder = Folder::new();
    let pidfile = folder.beside("pid");
    let pid = || -> Option<i32> { fs::read_to_string(&pidfile).ok()?.trim().parse().ok() };
    let program = command();
    let words: Vec<&str> = program.get_args().map(|word| word.to_str().expect("UTF-8")).collect();
    let line = format!(
        "set -m; stty tostop; {} {} -r {} --port 0 --pidfile {} & wait",
        program.get_program().to_str().expect("UTF-8"),
        words.join(" "),
        folder.root().to_str().expect("UTF-8"),
        pidfile.to_str().expect("UTF-8"),
    );
    let mut script = Command::new("script");
    script.args(["-qfc", &format!("exec bash -c '{line}'"), "/dev/null"]);
    script.stdin(Stdio::null()).stdout(Stdio::piped()).env_remove("RUST_LOG");
    let mut script = script.spawn().expect("a terminal");
    eventually("it serves", || pid().is_some());
    let master = pid().expect("a pid");
    let workers = children(master);
    let address = listening(master.unsigned_abs());
    assert_eq!(Client::connect(address).get("/ok", "").status, 200, "and writes a line of the access log");
    let before: Vec<_> = workers.iter().chain([&master]).map(|pid| cpu_time(*pid)).collect();
    send(workers[0], Signal::KILL);
    eventually("a line in the log, and another worker", || {
        children(master).iter().any(|pid| !workers.contains(pid))
    });
    assert_eq!(Client::connect(address).get("/ok", "").status, 200);
    assert!(cpu_time(master) < before[before.len() - 1] + SECOND, "it spins");
    send(master, Signal::TERM);
    eventually("it has ended", || !is_alive(master));
    script.wait().expect("an end");
    let mut said = String::new();
    script.stdout.take().expect("a pipe").read_to_string(&mut said).expect("lines");
    // script(1) may not copy the very last lines.
    assert!(said.contains("  stop  ") && said.contains("GET /ok"), "{said}");
    holds(
        "D33",
        "stty tostop, and a server in the background: its lines are written, TERM ends it",
        "nothing waits",
    );
}

/// What a parent has blocked stays blocked over exec(3).
#[test]
fn d34_signals_that_the_parent_has_blocked() {
    let probe = Command::new("env").args(["--block-signal=TERM", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return not_run("D34", "env(1) cannot block signals here");
    }
    let folder = Folder::new();
    let mut start = Command::new("env");
    start.args(["--block-signal", "--ignore-signal=CHLD,XFSZ"]);
    let program = command();
    start.arg(program.get_program()).args(program.get_args()).stdin(Stdio::null()).env_remove("RUST_LOG");
    let mut server = Server::start_command(start, &folder.root(), &["-w", "2"], |_| {});
    let (dead, started) = (server.workers[0], Instant::now());
    send(dead, Signal::KILL);
    eventually("another takes its place", || {
        let now = server.children();
        now.len() == server.workers.len() && !now.contains(&dead)
    });
    let replaced = started.elapsed();
    assert!(replaced < SECOND / 2, "{replaced:?}");
    super::reload::reload(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    holds(
        "D34",
        "started with all signals blocked: a dead worker is replaced at once, HUP and TERM work",
        "exact",
    );
}

/// A log that reaches the limit of file sizes ends no process.
#[test]
fn d35_a_log_at_the_limit_of_file_sizes() {
    let folder = Folder::new();
    let (access, log) = (folder.beside("access.log"), folder.beside("log"));
    let mut start = Command::new("sh");
    start.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]);
    let program = command();
    start.arg(program.get_program()).args(program.get_args()).stdin(Stdio::null()).env_remove("RUST_LOG");
    let paths = [&access, &log].map(|path| path.to_str().expect("UTF-8"));
    let options = ["-w", "2", "--access-log", paths[0], "--logfile", paths[1], "--log", "debug"];
    fs::write(&log, vec![b'\n'; 100_000]).expect("a file");
    let mut server = Server::start_command(start, &folder.root(), &options, |_| {});
    let mut client = server.connect();
    for _ in 0..300 {
        assert_eq!(client.get("/ok", "").status, 200);
    }
    server.signal(Signal::HUP);
    eventually("only new workers are left", || {
        let now = server.children();
        !now.is_empty() && !now.iter().any(|pid| server.workers.contains(pid))
    });
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert!(fs::metadata(&access).expect("a file").len() <= 8192);
    fs::rename(&log, folder.beside("log.old")).expect("a rename");
    server.signal(Signal::USR1);
    eventually("a line with the number of lost lines", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("lines lost here: "))
    });
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    holds(
        "D35",
        "both logs at RLIMIT_FSIZE: 300 requests, a reload, a rotation; lost lines are counted",
        "0 deaths",
    );
}
