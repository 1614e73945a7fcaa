//! Orders to workers that the master may not signal: those of another user, without `CAP_KILL`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use stheno::sys::rights;

use super::reload::reload;
use super::{Orphan, SECOND, serve, until_workers};
use crate::support::process::is_installed;
use crate::support::rules::{holds, not_run};
use crate::support::server::{children, command, eventually, halt, is_alive, send};
use crate::support::strace::{NO_STRACE, Strace};
use crate::support::{Folder, Front, Server};

/// Workers of a user of their own.
const OPTIONS: [&str; 6] = ["-w", "2", "--user", "65534", "--group", "65534"];

/// The server as a container runs it that has dropped all capabilities but those for another user.
fn container() -> Option<Command> {
    if !rights::is_root() || !is_installed("setpriv") {
        not_run(
            "D30",
            "only root can have workers of another user, and setpriv(1) takes its capabilities away",
        );
        return None;
    }
    let mut start = Command::new("setpriv");
    start.args(["--bounding-set", "-all,+setuid,+setgid"]);
    let server = command();
    start.arg(server.get_program()).args(server.get_args());
    start.stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("STHENO_FORCE_FALLBACK");
    Some(start)
}

fn start(folder: &Folder, options: &[&str]) -> Option<Server> {
    use std::os::unix::process::CommandExt;
    let options = [&OPTIONS, options].concat();
    Some(Server::start_command(container()?, &folder.root(), &options, |command| {
        command.process_group(0);
    }))
}

#[test]
fn d30_a_drain_and_a_stop_need_no_right_to_send_signals() {
    for (signal, within) in [(Signal::TERM, 5 * SECOND), (Signal::INT, SECOND / 2)] {
        let folder = Folder::new();
        let Some(mut server) = start(&folder, &["--grace", "20"]) else { return };
        let mut client = server.connect();
        assert_eq!(client.get("/ok", "").status, 200);
        let started = Instant::now();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(started.elapsed() < within, "{signal:?}: {:?}", started.elapsed());
        assert!(!server.workers.iter().any(|pid| is_alive(*pid)), "a worker is left");
        assert_eq!(server.count_said("kill") - server.count_said("kill -TERM"), 0, "{:?}", server.said());
    }
    holds(
        "D30",
        "without CAP_KILL, workers of another user: TERM drains, INT stops, nothing is killed",
        "exact",
    );
}

#[test]
fn d30_workers_are_replaced_and_logs_reopened_without_that_right() {
    let folder = Folder::new();
    let log = folder.beside("access.log");
    let options = ["--access-log", log.to_str().expect("UTF-8"), "--grace", "5"];
    let Some(server) = start(&folder, &options) else { return };
    let workers = Front::of_this_crate().processes(2);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    server.signal(Signal::TTIN);
    until_workers(server.master(), workers + 1);
    server.signal(Signal::TTOU);
    until_workers(server.master(), workers);
    reload(&server);
    eventually("the old generation is gone", || !server.workers.iter().any(|pid| is_alive(*pid)));
    until_workers(server.master(), workers);
    fs::rename(&log, log.with_extension("old")).expect("a rename");
    server.signal(Signal::USR1);
    eventually("the workers write to the new file", || {
        assert_eq!(server.connect().get("/ok", "").status, 200);
        fs::metadata(&log).is_ok_and(|file| file.len() > 0)
    });
    server.signal(Signal::WINCH);
    until_workers(server.master(), 0);
    assert_eq!(server.count_said("kill") - server.count_said("kill -TERM"), 0, "{:?}", server.said());
    holds("D30", "there: TTIN, TTOU, HUP, USR1 and WINCH do what they do elsewhere", "exact");
}

#[test]
fn d30_an_upgrade_leaves_no_old_worker() {
    let folder = Folder::new();
    let pidfile = folder.beside("pid");
    let pid = || -> Option<i32> { fs::read_to_string(&pidfile).ok()?.trim().parse().ok() };
    let Some(mut server) = start(&folder, &["--pidfile", pidfile.to_str().expect("UTF-8")]) else { return };
    server.signal(Signal::USR2);
    eventually("the successor serves", || pid().is_some_and(|pid| pid != server.master()));
    let successor = Orphan(pid().expect("a pid"));
    assert_eq!(server.wait().code(), Some(0));
    assert!(!server.workers.iter().any(|pid| is_alive(*pid)), "a worker is left");
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert_eq!(children(successor.0).len(), Front::of_this_crate().processes(2));
    drop(successor);
    holds("D30", "there: USR2 hands over, and the old workers exit", "exact");
}

/// SIGKILL is sent as the user of the worker.
#[test]
fn d30_a_worker_that_hangs_is_ended_without_that_right() {
    let folder = Folder::new();
    let Some(mut server) = start(&folder, &["--worker-timeout", "1"]) else { return };
    let victim = server.workers[0];
    halt(victim);
    server.wait_for("is killed");
    eventually("it is gone, and replaced", || {
        let now = server.children();
        !now.contains(&victim) && now.len() == server.workers.len()
    });
    server.children().iter().for_each(|pid| halt(*pid));
    let started = Instant::now();
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    assert!(started.elapsed() < 4 * SECOND, "{:?}", started.elapsed());
    holds("D30", "there: a stopped worker is killed by the master as the worker's user", "ended");
}

/// Where SIGKILL fails, the log says so, another worker serves, and a stop does not wait for ever.
#[test]
fn d31_a_worker_that_cannot_be_killed_is_left_behind() {
    let (_folder, mut server) = serve(&["-w", "2", "--worker-timeout", "1"]);
    let Some(strace) = Strace::inject(server.master(), &["kill:error=EPERM"]) else {
        return not_run("D31", NO_STRACE);
    };
    let (victim, slots) = (server.workers[0], server.workers.len());
    halt(victim);
    server.wait_for("has not aborted either and cannot be killed");
    server.wait_for("does not end and is left behind; another takes its place");
    eventually("another serves in its place", || server.children().len() == slots + 1);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    let left = server.children();
    left.iter().for_each(|pid| halt(*pid));
    let started = Instant::now();
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    let took = started.elapsed();
    assert!(took < 4 * SECOND, "{took:?}");
    eventually("a line for each", || server.count_said("cannot be killed, and is left behind") == left.len());
    assert_eq!(server.count_said("is killed"), 0, "{:?}", server.said());
    drop(strace);
    // The end of its line ends a worker as soon as it runs again.
    left.iter().for_each(|pid| send(*pid, Signal::CONT));
    eventually("they have ended", || !left.iter().any(|pid| is_alive(*pid)));
    holds(
        "D31",
        format_args!(
            "kill(2) fails: a line, another worker in the slot; INT ends the server after {took:.1?}"
        ),
        "bounded, and said",
    );
}

/// A worker without a line to its master would serve for ever when the master is gone.
#[test]
fn d32_a_worker_whose_line_fails_ends_its_service() {
    for (fault, said) in [("ENOMEM:when=1", 0), ("ENOMEM", 1), ("EIO:when=1", 1)] {
        let (_folder, mut server) = serve(&["-w", "1"]);
        let worker = server.workers[0];
        let Some(strace) = Strace::inject(worker, &[&format!("recvmsg:error={fault}")]) else {
            return not_run("D32", NO_STRACE);
        };
        server.signal(Signal::KILL);
        assert_eq!(server.wait().code(), None);
        eventually(fault, || !is_alive(worker));
        drop(strace);
        eventually("the line", || server.count_said("the line to the master fails") == said);
    }
    holds(
        "D32",
        "recvmsg(2) fails once for want of memory: tried again; for good, or otherwise: the worker drains",
        "no orphan",
    );
}

/// A master that cannot wait looks at everything from time to time.
#[test]
fn d36_a_master_that_cannot_wait_goes_on() {
    for fault in ["error=ENOMEM:when=1", "error=ENOMEM"] {
        let (_folder, mut server) = serve(&["-w", "2"]);
        let Some(strace) = Strace::inject(server.master(), &[&format!("ppoll,poll:{fault}")]) else {
            return not_run("D36", NO_STRACE);
        };
        let (dead, workers) = (server.workers[0], server.workers.len());
        server.wait_for("cannot wait for events");
        send(dead, Signal::KILL);
        eventually("another takes its place", || {
            let now = server.children();
            now.len() == workers && !now.contains(&dead)
        });
        reload(&server);
        assert_eq!(server.connect().get("/ok", "").status, 200);
        assert_eq!(server.count_said("cannot wait for events"), 1, "one line: {:?}", server.said());
        drop(strace);
        server.wait_for("can wait for events again");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
    }
    holds(
        "D36",
        "ppoll(2) fails once, or always: one line; a dead worker is replaced, HUP and TERM work",
        "0 healthy workers ended",
    );
}
