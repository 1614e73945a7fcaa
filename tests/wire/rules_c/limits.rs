//! C8 to C12, C19: more connections than there is room for.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use stheno::server::Capacity;

use super::{GET, SECOND, cpu_share, serve, serve_with_descriptors};
use crate::support::hostile::{Hostile, Plan, Reading, raise_descriptor_limit};
use crate::support::process::{clients_of, connections, descriptors, descriptors_at_rest, limit_descriptors};
use crate::support::rules::{has_room_for_a_crowd, hold, holds};
use crate::support::server::{eventually, run};
use crate::support::{Client, Front};

#[test]
fn c8_idle_connections_make_room_and_busy_ones_do_not() {
    let (_folder, server) = serve(&["--max-connections", "100"]);
    let mut clients: Vec<Client> = (0..150)
        .map(|_| {
            let mut client = server.connect();
            assert_eq!(client.get("/ok", "").status, 200, "each client is served");
            client
        })
        .collect();
    for client in &mut clients[60..] {
        assert_eq!(client.get("/ok", "").status, 200, "only the longest idle connections were closed");
    }
    drop(clients);
    let base = descriptors_at_rest(&server);
    let mut busy: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    busy.iter_mut().for_each(|client| client.send("GET /ok HTTP/1.1\r\nHost: a\r\n"));
    eventually("all places are taken by busy connections", || {
        let all = connections(server.address().port());
        all.iter().filter(|one| one.is_read_up()).count() == 100
            && descriptors(server.workers[0]) == base + 100
    });
    let mut newcomer = server.connect();
    newcomer.send(GET);
    newcomer.stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    let waits = loop {
        match newcomer.stream.read(&mut [0]) {
            // Stopping the process interrupts a read with a time-out (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => break result.expect_err("there is no room yet"),
        }
    };
    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&waits.kind()), "{waits}");
    for client in &mut busy {
        client.send("\r\n");
        assert_eq!(client.read("GET").status, 200, "busy connections are not closed for others");
    }
    newcomer.stream.set_read_timeout(Some(20 * SECOND)).expect("a time-out");
    assert_eq!(newcomer.read("GET").status, 200);
    holds(
        "C8",
        "room for 100: of 150, idle connections made room; 100 of 100 busy ones finished",
        "0 busy refused",
    );
}

/// RULES C24. The connection that a full worker cannot take has woken no other; the worker has to wake them.
#[test]
fn c24_a_full_worker_leaves_connections_to_others() {
    if Front::lacks("c24_a_full_worker_leaves_connections_to_others") {
        return;
    }
    for mode in ["exclusive", "shared"] {
        let (folder, server) = serve(&["-w", "2", "--max-connections", "4", "--accept", mode]);
        folder.write_sparse("sparse", 200_000_000);
        let download = Plan {
            opening: b"GET /sparse HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            reading: Reading::Never,
            receive_buffer: 4096,
            ..Plan::default()
        };
        // One worker gets most of them: the kernel wakes the same one until its sixteenth.
        let mut downloads = Vec::new();
        let held = || server.workers.iter().map(|worker| clients_of(*worker).len()).collect::<Vec<_>>();
        while downloads.len() < 7 && !held().contains(&4) {
            downloads.push(Hostile::start(server.address(), 1, download.clone()));
            eventually("it is accepted", || held().iter().sum::<usize>() == downloads.len());
        }
        let (before, mut longest) = (held(), Duration::ZERO);
        for _ in 0..8 - downloads.len() {
            let began = Instant::now();
            let mut client = server.connect();
            assert_eq!(client.get("/ok", "").status, 200);
            longest = longest.max(began.elapsed());
            downloads.push(Hostile::start(server.address(), 1, download.clone()));
            drop(client);
            eventually("it is accepted", || held().iter().sum::<usize>() == downloads.len());
        }
        assert!(longest < SECOND, "{mode}: {longest:?}, {before:?}");
        holds(
            "C24",
            format!(
                "{mode}: workers with {before:?} of 4 connections each; the next clients wait {longest:.1?}"
            ),
            "at once",
        );
        downloads.into_iter().for_each(|download| drop(download.call_off()));
    }
}

#[test]
fn c9_connections_per_address_are_limited() {
    let (_folder, server) = serve(&["--max-connections-per-ip", "5"]);
    let from = |last: u8| Plan { from: Some([127, 0, 0, last]), ..Plan::default() };
    let greedy = Hostile::start(server.address(), 8, from(2));
    eventually("three are closed", || greedy.over() == 3);
    let modest = Hostile::start(server.address(), 5, from(3));
    modest.wait_until_open();
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert_eq!((modest.over(), greedy.over()), (0, 3));
    modest.call_off();
    greedy.call_off();
    if Front::lacks("c9_connections_per_address_are_limited") {
        return;
    }
    let again = Hostile::start(server.address(), 5, from(2));
    again.wait_until_open();
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert_eq!(again.over(), 0, "their places are free again");
    holds(
        "C9",
        "5 of 8 stay, 5 of 5 from another address; the places are free again later",
        "closed at N, others unaffected",
    );
}

#[test]
fn c10_descriptors_are_budgeted() {
    let (folder, server) = serve_with_descriptors(64, &[]);
    let (worker, warned) = (server.workers[0], server.wait_for("raise ulimit -n"));
    assert!(warned.contains("16 connections"), "{warned}");
    folder.write_sparse("sparse", 200_000_000);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    let base = descriptors_at_rest(&server);
    // Each request is for one byte of a large file; if they were queued, each would hold an open file.
    let range = "GET /sparse HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n";
    let opening = range.repeat(20_000).into_bytes();
    let plan = Plan { opening, reading: Reading::Never, receive_buffer: 4096, ..Plan::default() };
    let attack = Hostile::start(server.address(), 15, plan);
    attack.wait_until_open();
    let (mut most, mut calm) = (0, 0);
    eventually("their sockets are full", || {
        most = most.max(descriptors(worker));
        calm = if cpu_share(worker, Duration::from_millis(50)) < 1.0 { calm + 1 } else { 0 };
        calm > 5
    });
    assert!(most <= base + 2 * 16, "{most} descriptors, {base} before");
    let mut client = server.connect();
    assert_eq!(client.get("/big", "").status, 200, "there is a descriptor for the file");
    attack.call_off();
    assert!(!server.said().iter().any(|line| line.contains("os error 24")), "{:?}", server.said());
    let complaint = run(&["--max-connections", "1000000000"]);
    assert_eq!(complaint.0, 1, "{complaint:?}");
    assert!(complaint.2.contains("ulimit -n"), "{complaint:?}");
    holds(
        "C10",
        format!("64 descriptors: 16 connections, at most {most} open, with a warning"),
        "never EMFILE",
    );
}

/// RULES C11, C12: clients beyond the limit wait in the queue, and the server waits without spinning. It keeps
/// no spare descriptor; accepting pauses.
#[test]
fn c11_a_full_server_waits_without_spinning() {
    let (_folder, server) = serve_with_descriptors(64, &["--header-timeout", "60"]);
    let worker = server.workers[0];
    let opening = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    let attack = Hostile::start(server.address(), 200, Plan { opening, ..Plan::default() });
    attack.wait_until_open();
    let mut queued = server.connect();
    queued.send(GET);
    let share = cpu_share(worker, SECOND);
    let called_off = Instant::now();
    attack.call_off();
    assert_eq!(queued.read("GET").status, 200);
    let served = called_off.elapsed();
    assert!(share <= 10.0, "{share:.1} % of a core");
    assert!(served < 5 * SECOND, "{served:?}");
    hold(
        "C11 C12",
        format!("200 connections, 64 descriptors: CPU {share:.1} %, queued client served after {served:.1?}"),
        "≤ 2 %, ≤ 100 ms",
    );
}

#[test]
fn c11_accepting_pauses_without_descriptors() {
    let (_folder, server) = serve(&["--header-timeout", "60"]);
    let worker = server.workers[0];
    let attack = Hostile::silent(server.address(), 100);
    attack.wait_until_open();
    eventually("all are accepted", || descriptors(worker) > 100);
    let before = limit_descriptors(worker, 50);
    let mut queued = server.connect();
    // OPTIONS needs no file, so the first free descriptor is that of the connection.
    queued.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    // The words before the number are those of the C library.
    server.wait_for("(os error 24)");
    let share = cpu_share(worker, SECOND);
    let called_off = Instant::now();
    attack.call_off();
    assert_eq!(queued.read("OPTIONS").status, 204);
    let served = called_off.elapsed();
    limit_descriptors(worker, before);
    let lines = server.said().iter().filter(|line| line.contains("accepting pauses")).count();
    assert_eq!(lines, 1, "{:?}", server.said());
    assert!(share <= 10.0, "{share:.1} % of a core");
    assert!(served < 5 * SECOND, "{served:?}");
    holds("C11", format!("EMFILE: CPU {share:.1} %, 1 line, served after {served:.1?}"), "≤ 2 %, ≤ 100 ms");
}

#[test]
fn c19_idle_connections_cost_no_time() {
    if !has_room_for_a_crowd("C19") {
        return;
    }
    let allowed = Capacity::fitting(raise_descriptor_limit()).saturating_sub(100);
    let count = allowed.min(10_000);
    let (_folder, server) = serve(&["--header-timeout", "600"]);
    let worker = server.workers[0];
    let attack = Hostile::silent(server.address(), count);
    attack.wait_until_open();
    eventually("all are accepted", || descriptors(worker) > count);
    let share = cpu_share(worker, SECOND);
    attack.call_off();
    assert!(share <= 5.0, "{share:.1} % of a core");
    let all = if count < 10_000 { format!(" (all that {allowed} allow)") } else { String::new() };
    holds("C19", format!("{count} idle connections{all}: CPU {share:.1} %"), "≤ 1 %");
}
