//! Workers that die or hang, children that are no workers, and the death of the master.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::regulars::Regulars;
use super::{SECOND, median, serve};
use crate::support::process::{clients_of, cpu_time, is_installed, title};
use crate::support::rules::{holds, not_run};
use crate::support::server::{command, eventually, halt, is_alive, send};
use crate::support::strace::NO_STRACE;
use crate::support::{Client, Folder, Front, Server, parse_all};

#[test]
fn d1_d2_a_dead_worker_is_replaced_and_others_are_unharmed() {
    if Front::lacks("d1_d2_a_dead_worker_is_replaced_and_others_are_unharmed") {
        return;
    }
    const ROUNDS: usize = 5;
    let (_folder, server) = serve(&["-w", "4"]);
    let regulars = Regulars::start(server.address(), 12);
    let (mut respawns, mut victims, mut at_risk) = (Vec::new(), HashSet::new(), 0);
    for _ in 0..ROUNDS {
        // A worker that dies soon after its start is the case of D4.
        std::thread::sleep(SECOND + SECOND / 10);
        for victim in server.children() {
            // The worker is stopped first, so that it accepts no client after its clients have been listed.
            halt(victim);
            let clients = clients_of(victim);
            // A port may belong to the client of another victim later.
            at_risk += clients.len();
            victims.extend(clients);
            let started = Instant::now();
            send(victim, Signal::KILL);
            loop {
                let now = server.children();
                if now.len() == 4 && !now.contains(&victim) {
                    break;
                }
                assert!(started.elapsed() < 10 * SECOND, "the worker is not replaced");
                std::thread::sleep(Duration::from_micros(200));
            }
            respawns.push(started.elapsed());
            regulars.wait_for_more(24);
        }
    }
    let (answered, failures) = regulars.stop();
    let innocent: Vec<_> = failures.iter().filter(|failure| !victims.contains(&failure.port)).collect();
    assert!(innocent.is_empty(), "clients of other workers failed: {innocent:?}");
    assert!(failures.len() <= at_risk, "{failures:?}");
    let (kills, middle) = (respawns.len(), median(&mut respawns));
    let most = respawns[kills - 1];
    assert!(middle < Duration::from_millis(50), "{respawns:?}");
    holds(
        "D1",
        format!("{kills} deaths: replaced after p50 {middle:.1?}, max {most:.1?}"),
        "p50 ≤ 5 ms, max ≤ 50 ms",
    );
    let failed = failures.len();
    holds(
        "D2",
        format!(
            "{kills} kills, {answered} responses: {failed} of {at_risk} clients of the killed workers failed, 0 of the others"
        ),
        "0 of the others",
    );
}

#[test]
fn d3_all_workers_killed_at_once() {
    let (_folder, server) = serve(&["-w", "4"]);
    let before = server.workers.clone();
    let started = Instant::now();
    before.iter().for_each(|pid| send(*pid, Signal::KILL));
    eventually("four others", || {
        let now = server.children();
        Front::of_this_crate().processes(4) == now.len() && !now.iter().any(|pid| before.contains(pid))
    });
    let took = started.elapsed();
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert!(took < SECOND, "{took:?}");
    holds("D3", format!("4 killed at once: 4 others after {took:.1?}"), "≤ 100 ms");
}

/// The listening socket belongs to the master, so connections that wait in it survive the worker.
#[test]
fn waiting_connections_are_served_by_the_next_worker() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &[]);
    let worker = server.workers[0];
    halt(worker);
    let mut waiting: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    send(worker, Signal::KILL);
    for client in &mut waiting {
        assert_eq!(client.get("/ok", "").status, 200);
    }
}

#[test]
fn d4_a_crash_loop_is_slowed_down() {
    if Front::lacks("d4_a_crash_loop_is_slowed_down") {
        return;
    }
    const WATCHED: Duration = Duration::from_secs(6);
    let (_folder, server) = serve(&["-w", "2"]);
    // The healthy worker is the one that serves the last of these clients.
    let healthy = server.workers[0];
    let mut clients: Vec<Client> = Vec::new();
    eventually("the healthy worker has a client", || {
        let mut client = server.connect();
        client.get("/ok", "");
        let port = client.stream.local_addr().expect("an address").port();
        clients.push(client);
        clients_of(healthy).contains(&port)
    });
    let mut client = clients.pop().expect("the last one");
    let (started, before) = (Instant::now(), cpu_time(server.master()));
    let mut forks = 0;
    while started.elapsed() < WATCHED {
        for pid in server.children().into_iter().filter(|pid| *pid != healthy) {
            send(pid, Signal::KILL);
            eventually("it is reaped", || !server.children().contains(&pid));
            forks += 1;
        }
        assert_eq!(client.get("/ok", "").status, 200, "the healthy worker goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let cpu = cpu_time(server.master()) - before;
    assert!((4..=10).contains(&forks), "{forks} forks");
    assert!(cpu <= WATCHED / 20, "{cpu:?} of CPU");
    let share = cpu.as_secs_f64() / WATCHED.as_secs_f64() * 100.0;
    holds(
        "D4",
        format!("a worker that dies at its start: {forks} forks in 6 s, CPU {share:.1} %"),
        "≤ 10 in 10 s, ≤ 2 %",
    );
}

#[test]
fn d5_workers_that_cannot_start_end_the_server() {
    let folder = Folder::new();
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    if !is_installed("strace") {
        return not_run("D5", "without strace no worker fails at its start");
    }
    // The master has no epoll, so the workers fail to start.
    let mut traced = Command::new("timeout");
    traced.args(["20", "strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=epoll_create1:error=EMFILE"]);
    traced.arg(command().get_program()).args(["-r", root, "--port", "0", "-w", "2", "--access-log", "off"]);
    let output = traced.stdin(Stdio::null()).output().expect("strace");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    if error.contains("ptrace") {
        return not_run("D5", "strace may not trace here");
    }
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("could not start") && !error.contains("  stop "), "no banner: {error}");
    holds("D5", "workers without an epoll: the start fails with a line, and shows no address", "exit 1");
}

/// Each of these calls fails every time, in the master and in the workers.
#[test]
fn d38_a_start_does_without_what_it_does_not_need() {
    let folder = Folder::new();
    let pidfile = folder.beside("pid");
    let faults = ["prlimit64:error=EPERM", "getrandom:error=ENOSYS", "unlink:error=EROFS", "statx:error=EIO"];
    for fault in faults {
        let traced = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
        if !traced.is_ok_and(|status| status.success()) {
            return not_run("D38", NO_STRACE);
        }
        let _ = fs::remove_file(&pidfile);
        let (mut traced, server) = (Command::new("strace"), command());
        // -D: the tracer is a grandchild, and the started process is the server itself.
        traced.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={fault}")]);
        traced.arg(server.get_program()).args(server.get_args());
        let options = ["-w", "1", "--pidfile", pidfile.to_str().expect("UTF-8")];
        let mut server = Server::start_command(traced, &folder.root(), &options, |_| {});
        let worker = server.workers[0];
        assert_eq!(server.connect().get("/ok", "").status, 200, "{fault}");
        assert!(is_alive(worker), "{fault}");
        server.stop();
        // The last line may be read after the process has ended.
        let line = format!("the pid file {} cannot be removed", pidfile.display());
        eventually("a file that stays has a line in the log", || {
            pidfile.exists() == (server.count_said(&line) == 1)
        });
    }
    holds("D38", format!("{faults:?}, always: it serves; a pid file that stays has a line"), "it serves");
}

#[test]
fn d14_workers_do_not_outlive_their_master() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 50_000_000]);
    let mut server = Server::start(&folder.root(), &["-w", "3"]);
    let mut download = server.connect();
    download.send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut received = vec![0; 1000];
    download.stream.read_exact(&mut received).expect("the beginning");
    let (workers, address) = (server.workers.clone(), server.address());
    let started = Instant::now();
    server.signal(Signal::KILL);
    assert_eq!(server.wait().code(), None);
    eventually("connections are refused", || TcpStream::connect(address).is_err());
    let noticed = started.elapsed();
    assert!(noticed < SECOND, "{noticed:?}");
    download.stream.read_to_end(&mut received).expect("the rest");
    assert_eq!(parse_all(&received, "GET")[0].body.len(), 50_000_000);
    drop(download);
    eventually("all workers are gone", || !workers.iter().any(|pid| is_alive(*pid)));
    TcpListener::bind(address).expect("the port is free");
    holds(
        "D14",
        format!(
            "3 workers refuse connections after {noticed:.1?}; the download was finished, 0 workers left"
        ),
        "≤ 100 ms",
    );
}

#[test]
fn d15_a_worker_that_hangs_is_ended() {
    let (_folder, server) = serve(&["-w", "2", "--worker-timeout", "1"]);
    let (victim, others) = (server.workers[0], &server.workers[1..]);
    let started = Instant::now();
    halt(victim);
    let line = server.wait_for("is told to abort");
    assert!(line.contains("it is stopped"), "{line}");
    let noticed = started.elapsed();
    eventually("the worker is replaced", || {
        let now = server.children();
        now.len() == 1 + others.len() && !now.contains(&victim)
    });
    let replaced = started.elapsed();
    assert!(noticed >= Duration::from_millis(700) && noticed < 4 * SECOND, "{noticed:?}");
    assert!(replaced < 8 * SECOND, "{replaced:?}");
    let now = server.children();
    assert!(others.iter().all(|other| now.contains(other)), "the other worker is not touched");
    assert_eq!(server.connect().get("/ok", "").status, 200);
    holds(
        "D15",
        format!("a time-out of 1 s: told to abort after {noticed:.1?}, replaced after {replaced:.1?}"),
        "ABRT at the time-out, KILL 1 s later",
    );
}

#[test]
fn d16_a_suspended_host_kills_no_worker() {
    if Front::lacks("d16_a_suspended_host_kills_no_worker") {
        return;
    }
    let (_folder, server) = serve(&["-w", "2", "--worker-timeout", "1"]);
    let all: Vec<i32> = [server.master()].into_iter().chain(server.workers.clone()).collect();
    all.iter().for_each(|pid| halt(*pid));
    std::thread::sleep(3 * SECOND);
    // The master wakes first, and finds only old heartbeats.
    send(server.master(), Signal::CONT);
    std::thread::sleep(Duration::from_millis(300));
    server.workers.iter().for_each(|pid| send(*pid, Signal::CONT));
    std::thread::sleep(2 * SECOND);
    assert_eq!(server.children(), server.workers, "{:?}", server.said());
    assert_eq!(server.connect().get("/ok", "").status, 200);
    holds("D16", "3 s of suspension at a time-out of 1 s: 0 kills", "0 kills");
}

#[test]
fn d17_zombies_are_reaped_and_other_children_ignored() {
    let folder = Folder::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "(sleep 0.2; exit 3) & exec \"$0\" \"$@\""]).arg(command().get_program());
    shell.stdin(Stdio::null()).env_remove("RUST_LOG");
    let server = Server::start_command(shell, &folder.root(), &["-w", "8"], |_| {});
    server.wait_for("that is no worker has ended: exit code 3");
    let mut killed = HashSet::new();
    for _ in 0..4 {
        for pid in server.children() {
            send(pid, Signal::KILL);
            killed.insert(pid);
        }
        eventually("all have been replaced", || {
            let now = server.children();
            now.len() == 8 && !now.iter().any(|pid| killed.contains(pid))
        });
    }
    let zombies =
        killed.iter().filter(|pid| crate::support::server::is_running(**pid) && !is_alive(**pid)).count();
    assert_eq!(zombies, 0);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    holds(
        "D17",
        format!("{} kills: 0 zombies; another child's exit 3 is a line in the log", killed.len()),
        "0 zombies",
    );
}

#[test]
fn d19_broken_pipes_kill_no_process() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 5_000_000]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let server = Server::start_with(&folder.root(), &["-w", "2", "--access-log", "-"], |command| {
        command.stdout(writer);
    });
    drop(reader);
    for _ in 0..200 {
        let mut client = server.connect();
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut some = [0; 1000];
        client.stream.read_exact(&mut some).expect("the beginning");
        // Unread bytes turn the close into a reset.
    }
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert_eq!(server.children(), server.workers);
    holds("D19", "200 resets during a response, and a closed pipe as access log: 0 deaths", "0 deaths");
}

#[test]
fn d28_ps_shows_the_role() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 50_000_000]);
    let mut server = Server::start(&folder.root(), &[]);
    let worker = server.workers[0];
    assert_eq!(title(worker), "stheno: worker");
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut received = vec![0; 1000];
    client.stream.read_exact(&mut received).expect("the beginning");
    server.signal(Signal::TERM);
    eventually("the title says that it is draining", || title(worker) == "stheno: leaving");
    client.stream.read_to_end(&mut received).expect("the rest");
    assert_eq!(server.wait().code(), Some(0));
    holds("D28", "\"stheno: worker\", then \"stheno: leaving\"", "yes");
}
