//! E1 to E3, E12 to E15: accepting connections.

use std::collections::BTreeSet;
use std::time::Instant;

use rustix::process::Signal;

use super::{SECOND, serve};
use crate::support::hostile::{Hostile, Latencies, ask_once};
use crate::support::process::{connections, cpu_time, descriptors, descriptors_at_rest};
use crate::support::rules::{has_room_for_a_crowd, holds, not_run};
use crate::support::server::{eventually, halt, send};
use crate::support::strace::{NO_STRACE, Strace};
use crate::support::{Client, Folder, Front, Server};

/// The inodes of the descriptors that a process watches with epoll, from proc(5).
fn watched(pid: i32) -> BTreeSet<String> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = std::fs::read_dir(folder).expect("descriptors");
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    let all: String = texts.collect();
    let lines = all.lines().filter(|line| line.starts_with("tfd:"));
    lines.map(|line| line.split("ino:").nth(1).expect("an inode").to_string()).collect()
}

#[test]
fn e1_every_worker_has_an_epoll_of_its_own() {
    let (_folder, server) = serve(&["-w", "3"]);
    eventually("all have set themselves up", || server.workers.iter().all(|pid| watched(*pid).len() >= 4));
    let sets: Vec<_> = server.workers.iter().map(|pid| watched(*pid)).collect();
    for (index, set) in sets.iter().enumerate() {
        let others: BTreeSet<_> =
            sets.iter().enumerate().filter(|(other, _)| *other != index).flat_map(|(_, set)| set).collect();
        assert!(set.iter().any(|inode| !others.contains(inode)), "shared with another: {sets:?}");
    }
    holds("E1", "3 workers, each watches a signal pipe that no other does", "distinct");
}

#[test]
fn e2_workers_share_the_connections() {
    if Front::lacks("e2_workers_share_the_connections") {
        return;
    }
    // A busy machine may delay a worker, so there are three tries.
    let is_balanced = |(one_by_one, _): &(Vec<usize>, Vec<usize>)| {
        let (least, most) = least_and_most(one_by_one);
        most * 2 <= least * 3
    };
    let (one_by_one, crowd) = (0..3).map(|_| shares()).find(is_balanced).expect("a balanced try");
    let spread = |counts: &[usize]| {
        let (least, most) = least_and_most(counts);
        format!("{most}/{least}")
    };
    holds(
        "E2",
        format!("max/min one by one {}, 64 at once {}", spread(&one_by_one), spread(&crowd)),
        "≤ 1.5",
    );
}

/// The connections that each of four workers has accepted: of 800 one after the other, and of 960 in groups of 64.
fn shares() -> (Vec<usize>, Vec<usize>) {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["-w", "4", "--log", "debug"]);
    let counts = |all: usize| -> Vec<usize> {
        let count = |pid: &i32| server.count_said(&format!("stheno: {pid} Incoming connection"));
        let counts = || server.workers.iter().map(count).collect::<Vec<_>>();
        eventually("all are logged", || counts().iter().sum::<usize>() == all);
        counts()
    };
    Latencies::of(server.address(), "/ok", 800);
    let one_by_one = counts(800);
    for _ in 0..15 {
        let attack = Hostile::half_closing(server.address(), 64, "/ok");
        assert!(attack.wait_until_over().iter().all(|ended| ended.status == Some(200)));
    }
    let after = counts(800 + 15 * 64);
    let crowd: Vec<usize> = after.iter().zip(&one_by_one).map(|(after, before)| after - before).collect();
    for counts in [&one_by_one, &crowd] {
        let (least, most) = least_and_most(counts);
        assert!(most <= 4 * least.max(1), "{counts:?}");
    }
    (one_by_one, crowd)
}

fn least_and_most(counts: &[usize]) -> (usize, usize) {
    (*counts.iter().min().expect("four"), *counts.iter().max().expect("four"))
}

#[test]
fn e3_the_queue_is_emptied() {
    for mode in ["exclusive", "shared", "reuseport"] {
        let (_folder, server) = serve(&["--accept", mode]);
        let worker = server.workers[0];
        let base = descriptors_at_rest(&server);
        halt(worker);
        let silent = Hostile::silent(server.address(), 100);
        silent.wait_until_open();
        send(worker, Signal::CONT);
        eventually("all are accepted, without another connection", || descriptors(worker) == base + 100);
        silent.call_off();
    }
    holds("E3", "100 queued, 16 a turn, then silence: 100 accepted, in each accept mode", "100/100");
}

/// RULES E12. An error that stays, of accept4 or of the listener's registration: no spin, no exit, and service when it goes.
#[test]
fn e12_errors_that_stay() {
    if Front::lacks("e12_errors_that_stay") {
        return;
    }
    let (_folder, server) = serve(&[]);
    let worker = server.workers[0];
    for error in ["EPERM", "ENOSYS", "EACCES", "ENETDOWN", "ENOBUFS"] {
        let Some(strace) = Strace::inject(worker, &[&format!("accept4:error={error}")]) else {
            return not_run("E12", NO_STRACE);
        };
        let mut client = server.connect();
        client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
        // The first pause is 100 ms, and each is twice as long as the one before.
        std::thread::sleep(SECOND / 2);
        let before = cpu_time(worker);
        std::thread::sleep(SECOND);
        let spent = cpu_time(worker) - before;
        assert!(spent <= SECOND / 5, "{error}: {spent:?} of a second");
        drop(strace);
        assert_eq!(client.read("GET").status, 200, "{error}");
        assert_eq!(server.children(), [worker], "{error}");
    }
    for error in ["ENOSPC", "ENOMEM"] {
        let _strace = Strace::inject(worker, &[&format!("epoll_ctl:error={error}")]).expect("it goes");
        // A connection whose request is not there yet would have to be registered, too, and be closed.
        halt(worker);
        let mut clients: Vec<Client> = (0..40).map(|_| server.connect()).collect();
        let request = "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        clients.iter_mut().for_each(|client| client.send(request));
        send(worker, Signal::CONT);
        // The listener is put back after each sixteenth of them.
        clients.iter_mut().for_each(|client| assert_eq!(client.read("GET").status, 200, "{error}"));
        assert_eq!(server.children(), [worker], "{error}");
    }
    ask_once(server.address(), "/ok");
    holds(
        "E12",
        "5 errors of accept4 that stay, and 2 of epoll_ctl: pauses, no spin; then all clients served",
        "0 exits",
    );
}

/// RULES E12: after any error of accept(2), the next connections are accepted, and the worker goes on.
#[test]
fn e12_errors_of_accept_are_survived() {
    let errors = [
        "EINTR",
        "ECONNABORTED",
        "EPROTO",
        "ENETDOWN",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "ENONET",
        "EHOSTUNREACH",
        "EOPNOTSUPP",
        "ENETUNREACH",
        "ETIMEDOUT",
        "ECONNRESET",
        "EPERM",
        "EAGAIN",
        "EMFILE",
        "ENFILE",
        "ENOBUFS",
        "ENOMEM",
    ];
    let (_folder, server) = serve(&[]);
    let worker = server.workers[0];
    for error in errors {
        if error == "EAGAIN" && Front::lacks("e12_errors_of_accept_are_survived") {
            continue;
        }
        let Some(_strace) = Strace::inject(worker, &[&format!("accept4:error={error}:when=1+2")]) else {
            return not_run("E12", NO_STRACE);
        };
        for _ in 0..3 {
            ask_once(server.address(), "/ok");
        }
        assert_eq!(server.children(), [worker], "{error}");
    }
    let complaints = server.said().iter().filter(|line| line.contains("accepting pauses")).count();
    assert_eq!(complaints, 1, "one line in 10 s: {:?}", server.said());
    holds(
        "E12",
        format!("{} errors injected into every other accept4: all clients served", errors.len()),
        "0 exits",
    );
}

/// RULES E13.
#[test]
fn e13_the_port_is_free_at_once() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.root(), &[]);
    let port = server.address().port().to_string();
    for _ in 0..10 {
        // The server closes first, so the connection stays in TIME_WAIT on its port.
        let mut client = server.connect();
        client.get("/ok", "Connection: close\r\n");
        assert!(client.read_raw_to_end().is_empty());
        server.stop();
        server = Server::start(&folder.root(), &["--port", &port]);
    }
    let waiting = connections(server.address().port()).iter().filter(|c| c.state == 6).count();
    assert!(waiting > 0, "nothing was in TIME_WAIT");
    holds("E13", format!("10 of 10 restarts on the same port, {waiting} in TIME_WAIT"), "100/100");
}

#[test]
fn e14_a_burst_waits_in_the_queue() {
    if !has_room_for_a_crowd("E14") {
        return;
    }
    let overflows = || -> u64 {
        let text = std::fs::read_to_string("/proc/net/netstat").expect("netstat");
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter_map(|line| line.strip_prefix("TcpExt: "))
            .map(|line| line.split(' ').collect())
            .collect();
        let at = rows[0].iter().position(|name| *name == "ListenOverflows").expect("a column");
        rows[1][at].parse().expect("a number")
    };
    let (_folder, server) = serve(&[]);
    let worker = server.workers[0];
    let (before, begun) = (overflows(), Instant::now());
    halt(worker);
    let burst = Hostile::half_closing(server.address(), 2000, "/ok");
    burst.wait_until_open();
    std::thread::sleep(SECOND.saturating_sub(begun.elapsed()));
    send(worker, Signal::CONT);
    let ended = burst.wait_until_over();
    let served = ended.iter().filter(|ended| ended.status == Some(200)).count();
    let overflows = overflows() - before;
    assert_eq!(served, 2000, "overflows: {overflows}");
    holds(
        "E14",
        format!("2,000 in a burst: {served} served, {overflows} overflows"),
        "0 refused, 0 overflows",
    );
}

#[test]
fn e15_a_silent_connection_is_accepted() {
    let (_folder, server) = serve(&[]);
    let worker = server.workers[0];
    let (base, begun) = (descriptors_at_rest(&server), Instant::now());
    let _silent = server.connect();
    eventually("it is accepted", || descriptors(worker) == base + 1);
    let seen = begun.elapsed();
    holds("E15", format!("a silent client is accepted after {seen:.1?}: no TCP_DEFER_ACCEPT"), "off");
}

/// With `--defer-accept`, a connection with a request is accepted together with it, a silent one about a second
/// later; both are served.
#[test]
fn a_deferred_accept_waits_for_the_first_bytes() {
    let (_folder, server) = serve(&["--defer-accept"]);
    let worker = server.workers[0];
    let (base, begun) = (descriptors_at_rest(&server), Instant::now());
    let mut silent = server.connect();
    eventually("it is accepted at last", || descriptors(worker) == base + 1);
    // Not early, on any machine.
    assert!(begun.elapsed() >= SECOND / 2, "accepted after {:.1?}", begun.elapsed());
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert_eq!(silent.get("/ok", "").status, 200);
}
