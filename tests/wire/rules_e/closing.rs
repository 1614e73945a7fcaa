//! E6 to E11: resets, half-closes, lingering.

use std::time::Duration;

use super::{GET, SECOND, serve};
use crate::support::Client;
use crate::support::hostile::{Hostile, Plan, Probe, Reading, ask_once};
use crate::support::process::{cpu_time, descriptors, descriptors_at_rest};
use crate::support::rules::{has_room_for_a_crowd, holds};
use crate::support::server::eventually;

/// RULES E6: descriptors and slots are reused at once, and each response reaches its own client.
#[test]
fn e6_responses_reach_the_right_client() {
    let (folder, server) = serve(&[]);
    for number in 0..50 {
        folder.write(format!("n{number}"), format!("this is {number}"));
    }
    let storm = Hostile::resetting(server.address(), 1000, "/big");
    let address = server.address();
    let threads: Vec<_> = (0..2)
        .map(|thread| {
            std::thread::spawn(move || {
                for number in 0..500 {
                    let number = (number + 25 * thread) % 50;
                    let mut client = Client::connect(address);
                    assert_eq!(client.get(&format!("/n{number}"), "").text(), format!("this is {number}"));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("every response was the right one"));
    storm.wait_until_over();
    holds("E6", "1,000 responses among 1,000 resets: 0 astray", "0");
}

#[test]
fn e8_half_open_connections_cost_no_cpu() {
    let (folder, server) = serve(&[]);
    folder.write_sparse("sparse", 10_000_000);
    let worker = server.workers[0];
    let half_head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    let (address, half_closes) = (server.address(), true);
    let attacks = [
        Hostile::silent(address, 20),
        Hostile::start(address, 20, Plan { opening: half_head, ..Plan::default() }),
        Hostile::start(address, 20, Plan { opening: GET.into(), ..Plan::default() }),
        Hostile::slow_bodies(address, 20, 100 * SECOND),
        Hostile::never_reading(address, 20, "/sparse"),
        Hostile::start(
            address,
            20,
            Plan {
                opening: b"GET /sparse HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
                reading: Reading::Never,
                receive_buffer: 4096,
                half_closes,
                ..Plan::default()
            },
        ),
        Hostile::resetting(address, 20, "/sparse"),
    ];
    attacks.iter().for_each(Hostile::wait_until_open);
    ask_once(address, "/ok");
    let before = cpu_time(worker);
    std::thread::sleep(SECOND);
    let spent = cpu_time(worker) - before;
    assert!(spent <= Duration::from_millis(60), "{spent:?} of CPU in a second of nothing to do");
    holds("E8", format!("140 half-open connections: {spent:?} of CPU in 1 s"), "≤ 1 %");
}

#[test]
fn e9_a_storm_of_resets_frees_every_place_once() {
    if !has_room_for_a_crowd("E9") {
        return;
    }
    let (_folder, server) = serve(&["--max-connections", "500"]);
    let (worker, address) = (server.workers[0], server.address());
    let base = descriptors_at_rest(&server);
    let storm = Hostile::resetting(address, 3000, "/big");
    assert_eq!(storm.wait_until_over().len(), 3000);
    eventually("all are closed", || descriptors(worker) == base);
    // A place lost or counted twice per reset would leave room for too few connections, or for too many.
    let mut clients: Vec<Client> = (0..500).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/ok", "").status, 200));
    assert!(!server.said().iter().any(|line| line.contains("panic")), "{:?}", server.said());
    holds("E9", "3,000 resets: descriptors and 500 places as before, no panic (debug assertions on)", "0");
}

#[test]
fn e10_a_refused_upload_reads_the_refusal() {
    let (_folder, server) = serve(&[]);
    let piece = vec![b'x'; 256 * 1024];
    for number in 0..10 {
        let (method, length, want) =
            if number % 2 == 0 { ("POST", 30_000_000, 405) } else { ("GET", 30_000_000, 413) };
        let mut client = server.connect();
        client.send(format!("{method} /ok HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        for _ in 0..length / piece.len() {
            client.try_send(&piece);
        }
        assert_eq!(client.read(method).status, want);
    }
    holds("E10", "10 of 10 clients that send 30 MB read the 405 or 413", "100/100");
}

#[test]
fn e11_lingering_connections_make_room() {
    if !has_room_for_a_crowd("E11") {
        return;
    }
    let (_folder, server) = serve(&["--max-connections", "500"]);
    let refused = |count| {
        let plan = Plan { opening: b"BAD\r\n\r\n".to_vec(), clings: true, ..Plan::default() };
        let attack = Hostile::start(server.address(), count, plan);
        eventually("all have been refused", || attack.over() == count);
        attack
    };
    let some = refused(400);
    let mut idle = server.connect();
    assert_eq!(idle.get("/ok", "").status, 200);
    let silent = Hostile::silent(server.address(), 150);
    silent.wait_until_open();
    assert_eq!(idle.get("/ok", "").status, 200, "an idle connection outlives those that linger");
    drop((some, silent));

    let probe = Probe::start(server.address(), "/ok", Duration::from_millis(5));
    let all = refused(2000);
    probe.wait_for_more(20);
    let probe = probe.stop();
    assert!(probe.p50() < SECOND, "{probe}");
    let answered = all.call_off().iter().filter(|ended| ended.status == Some(400)).count();
    holds(
        "E11",
        format!("2,000 lingering, room for 500: {answered} read their 400; probe {probe}"),
        "new connections are served",
    );
}
