//! SIGHUP: reloads.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::regulars::Regulars;
use super::{RELOADED, serve, until_workers};
use crate::support::process::{descriptors, memory, title};
use crate::support::rules::{holds, not_run};
use crate::support::server::{children, command, eventually, is_alive, send};
use crate::support::strace::{NO_STRACE, Strace};
use crate::support::{Folder, Front, Server};

/// The workers of a master, which may have a child that tries a configuration as well.
fn workers_of(master: i32) -> Vec<i32> {
    children(master).into_iter().filter(|pid| title(*pid).starts_with("stheno: ")).collect()
}

/// Sends HUP and waits until the new generation serves.
pub(super) fn reload(server: &Server) {
    let before = server.count_said(RELOADED);
    server.signal(Signal::HUP);
    eventually("the new ones serve", || server.count_said(RELOADED) > before);
}

#[test]
fn d9_a_reload_fails_no_request() {
    let (_folder, server) = serve(&["-w", "2"]);
    let regulars = Regulars::start(server.address(), 16);
    let mut workers: HashSet<i32> = server.workers.iter().copied().collect();
    for _ in 0..10 {
        let before = server.children();
        reload(&server);
        regulars.wait_for_more(100);
        eventually("the old ones have gone", || !before.iter().any(|pid| is_alive(*pid)));
        workers.extend(server.children());
    }
    let (answered, failures) = regulars.stop();
    assert!(failures.is_empty(), "{} of {answered} failed: {failures:?}", failures.len());
    assert!(workers.len() >= 11 * Front::of_this_crate().processes(2), "{workers:?}");
    holds(
        "D9",
        format!("10 HUPs, {answered} responses to keep-alive clients, every byte checked: 0 failed"),
        "0 failed",
    );
}

#[test]
fn d9_a_broken_configuration_changes_nothing() {
    let folder = Folder::new();
    let (first, second, link) = (folder.root(), folder.beside("second"), folder.beside("current"));
    fs::create_dir(&second).expect("a folder");
    fs::write(second.join("ok"), "second\n").expect("a file");
    symlink(&first, &link).expect("a link");
    let server = Server::start(&link, &["-w", "2"]);
    let get = || server.connect().get("/ok", "").text().to_string();
    assert_eq!(get(), "hello\n");
    fs::remove_file(&link).expect("the link");
    server.signal(Signal::HUP);
    let line = server.wait_for("the old one stays in force");
    assert!(line.contains("cannot serve") && line.contains("current"), "{line}");
    assert_eq!(server.count_said("the old one stays in force"), 1);
    assert_eq!(
        (server.children(), get().as_str()),
        (server.workers.clone(), "404 Not Found\nNothing matches the given URI\n"),
        "there is no root"
    );
    symlink(&second, &link).expect("a link");
    reload(&server);
    eventually("only new ones are left", || !server.workers.iter().any(|pid| is_alive(*pid)));
    assert_eq!(get(), "second\n");
    holds(
        "D9",
        "a root that is not there: one line, the same workers serve; a root that was replaced: served",
        "rolled back",
    );
}

/// A call of the reload that fails leaves everything as it was, the logs on standard streams among it.
#[test]
fn d9_a_reload_without_descriptors_changes_nothing() {
    const CALLS: [&str; 5] = ["openat", "openat2", "fcntl", "pipe2", "getsockname"];
    const TIMES: usize = 5;
    let folder = Folder::new();
    let (mut read, write) = std::io::pipe().expect("a pipe");
    let server = Server::start_with(&folder.root(), &["-w", "1", "--access-log", "-"], |command| {
        command.stdout(write);
    });
    let ended = || server.count_said(RELOADED) + server.count_said("the old one stays in force");
    for (call, when) in CALLS.iter().flat_map(|call| (1..=TIMES).map(move |when| (call, when))) {
        let Some(strace) = Strace::inject(server.master(), &[&format!("{call}:error=EMFILE:when={when}")])
        else {
            return not_run("D9", NO_STRACE);
        };
        let before = ended();
        server.signal(Signal::HUP);
        eventually("the reload ends", || ended() > before);
        drop(strace);
        assert_eq!(server.connect().get("/ok", "").status, 200);
    }
    let (failed, done) = (server.count_said("the old one stays in force"), server.count_said(RELOADED));
    drop(server);
    let mut lines = String::new();
    read.read_to_string(&mut lines).expect("the access log");
    assert_eq!(lines.lines().count(), CALLS.len() * TIMES, "{lines}");
    assert!(failed > 0 && done > 0, "{failed} {done}");
    holds(
        "D9",
        format!(
            "EMFILE at the first {TIMES} of {CALLS:?}: {failed} reloads failed with a line, {done} were done; no log ended"
        ),
        "rolled back",
    );
}

/// HUP after WINCH asks for workers, and clients wait for them.
#[test]
fn d9_a_broken_configuration_without_workers() {
    let folder = Folder::new();
    let link = folder.beside("current");
    symlink(folder.root(), &link).expect("a link");
    let server = Server::start_with(&link, &["-w", "2"], |command| {
        command.process_group(0);
    });
    let workers = server.workers.len();
    server.signal(Signal::WINCH);
    until_workers(server.master(), 0);
    let mut waiting = server.connect();
    waiting.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    fs::remove_file(&link).expect("the link");
    server.signal(Signal::HUP);
    server.wait_for("the old one stays in force");
    assert_eq!(waiting.read("GET").status, 404, "a worker of the old configuration, whose root is gone");
    until_workers(server.master(), workers);
    server.wait_for("of the old configuration begin");
    holds(
        "D9",
        "WINCH, then a root that is not there: the workers of the old configuration begin again",
        "rolled back",
    );
}

/// What a reload cannot do, or not yet, is one line.
#[test]
fn d9_a_reload_says_what_it_does_not_do() {
    let folder = Folder::new();
    folder.write_sparse("large", 1 << 30);
    let (config, pid, other) = (folder.beside("stheno.toml"), folder.beside("pid"), folder.beside("other"));
    let write = |port: u16, pidfile: &std::path::Path, accept: &str| {
        let lines = format!(
            "root = \"root\"\nport = {port}\nworkers = 2\ngrace = 2\naccess-log = \"off\"\n\
             pidfile = {pidfile:?}\naccept = \"{accept}\"\n"
        );
        fs::write(&config, lines).expect("a file");
    };
    write(0, &pid, "shared");
    let server = Server::start_from_file(config.to_str().expect("UTF-8"), &[]);
    write(server.address().port(), &pid, "reuseport");
    server.signal(Signal::HUP);
    let line = server.wait_for("the old one stays in force");
    assert!(line.contains("without SO_REUSEPORT") && line.contains("restart the server"), "{line}");
    assert_eq!(server.children(), server.workers);
    let mut stuck = server.connect();
    stuck.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    stuck.stream.read_exact(&mut [0; 1000]).expect("the beginning");
    write(server.address().port(), &other, "shared");
    reload(&server);
    server.wait_for("the pid file stays as it is");
    assert!(pid.exists() && !other.exists());
    for _ in 0..3 {
        server.signal(Signal::HUP);
        std::thread::sleep(Duration::from_millis(20));
    }
    let line = server.wait_for("the reload waits");
    assert!(line.contains("which have up to 2 s"), "{line}");
    eventually("the second reload", || server.count_said(RELOADED) == 2);
    assert_eq!(server.count_said("the reload waits"), 1, "{:?}", server.said());
    eventually("a line for each reload", || server.count_said("the pid file stays as it is") == 2);
    drop(stuck);
    holds(
        "D9",
        "another pid file, another accept mode, a HUP that has to wait: a line each that says what and why",
        "said",
    );
}

/// A resolver that takes questions and answers none; a mount of its own for the server's resolv.conf.
#[test]
fn d37_a_resolver_that_does_not_answer_stops_nothing() {
    let mounts = Command::new("unshare").args(["-m", "true"]).output();
    let folder = Folder::new();
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let name_server = Ipv4Addr::new(127, 100, high, low);
    let resolver = UdpSocket::bind((name_server, 53));
    let (true, Ok(resolver)) = (mounts.is_ok_and(|output| output.status.success()), resolver) else {
        return not_run("D37", "only root has port 53 and a mount of its own");
    };
    let (config, resolv) = (folder.beside("stheno.toml"), folder.beside("resolv.conf"));
    fs::write(&resolv, format!("nameserver {name_server}\n")).expect("a file");
    let write = |listen: &str| {
        let lines = format!("root = \"root\"\nlisten = {listen}\nworkers = 2\naccess-log = \"off\"\n");
        fs::write(&config, lines).expect("a file");
    };
    write("[\"127.0.0.1:0\"]");
    let mut start = Command::new("unshare");
    let line = format!("mount --bind {} /etc/resolv.conf; exec \"$0\" \"$@\"", resolv.display());
    start.args(["-m", "sh", "-c", &line]);
    let program = command();
    start.arg(program.get_program()).args(program.get_args()).arg("--config").arg(&config);
    start.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = Server::run(start);
    write("[\"127.0.0.1:0\", \"no.such.host.example:8080\"]");
    server.signal(Signal::HUP);
    resolver.recv(&mut [0; 512]).expect("a question");
    let (dead, started) = (server.workers[0], Instant::now());
    send(dead, Signal::KILL);
    eventually("another takes its place", || {
        let now = workers_of(server.master());
        now.len() == server.workers.len() && !now.contains(&dead)
    });
    assert_eq!(server.connect().get("/ok", "").status, 200);
    server.signal(Signal::USR1);
    server.wait_for("the logs have been reopened");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    holds(
        "D37",
        format!(
            "HUP with a name that is not answered: a dead worker is replaced, USR1 and TERM act, all in {took:.1?}"
        ),
        "the master waits for nothing",
    );
}

#[test]
fn d10_reloads_leak_nothing() {
    const RELOADS: usize = 200;
    let (_folder, server) = serve(&["-w", "2"]);
    let master = server.master();
    let again = || {
        reload(&server);
        until_workers(master, Front::of_this_crate().processes(2));
    };
    (0..10).for_each(|_| again());
    let (descriptors_before, memory_before) = (descriptors(master), memory(master));
    let worker_before = descriptors(server.children()[0]);
    (0..RELOADS).for_each(|_| again());
    eventually("the new one has set itself up", || descriptors(server.children()[0]) == worker_before);
    let (descriptors_now, memory_now) = (descriptors(master), memory(master));
    assert_eq!(descriptors_now, descriptors_before);
    assert!(memory_now <= memory_before + memory_before / 5 + 128, "{memory_before} KiB, then {memory_now}");
    holds(
        "D10",
        format!(
            "{RELOADS} HUPs: {descriptors_now} descriptors as before, {memory_now} KiB (before: {memory_before}), 2 workers"
        ),
        "equal ± 1 %",
    );
}

#[test]
fn d11_old_workers_do_not_pile_up() {
    let folder = Folder::new();
    folder.write_sparse("large", 1 << 30);
    let server = Server::start(&folder.root(), &["-w", "2", "--grace", "2"]);
    let mut stuck = server.connect();
    stuck.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    stuck.stream.read_exact(&mut [0; 1000]).expect("the beginning");
    let (mut most, started) = (0, Instant::now());
    reload(&server);
    for _ in 0..20 {
        server.signal(Signal::HUP);
        most = most.max(workers_of(server.master()).len());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(server.workers.iter().any(|pid| is_alive(*pid)), "the worker with the client has its grace");
    eventually("the second reload follows the end of the grace", || {
        most = most.max(workers_of(server.master()).len());
        server.count_said(RELOADED) >= 2
    });
    let took = started.elapsed();
    until_workers(server.master(), Front::of_this_crate().processes(2));
    assert!(!server.workers.iter().any(|pid| is_alive(*pid)));
    assert!(most <= 4, "{most} workers at a time");
    drop(stuck);
    holds(
        "D11",
        format!("21 HUPs and a stuck client: at most {most} workers of 2 generations; gone after {took:.1?}"),
        "≤ 2 generations",
    );
}

#[test]
fn every_accept_mode_serves_and_reloads() {
    for mode in ["exclusive", "shared", "reuseport"] {
        let (_folder, server) = serve(&["-w", "2", "--accept", mode]);
        // A runtime has no exclusive wake-up, and says which mode it uses instead.
        let mode = Front::of_this_crate().accept(mode);
        assert!(server.wait_for("poller").ends_with(&format!("accept {mode}")));
        let regulars = Regulars::start(server.address(), 4);
        for _ in 0..3 {
            reload(&server);
            regulars.wait_for_more(40);
        }
        let (_, failures) = regulars.stop();
        assert!(failures.is_empty(), "{mode}: {failures:?}");
        until_workers(server.master(), Front::of_this_crate().processes(2));
    }
}
