//! Graceful and fast stops.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::SECOND;
use crate::support::rules::holds;
use crate::support::server::{eventually, halt, is_running, send};
use crate::support::{Client, Folder, Server, parse_all};

/// A client that stops reading in the middle of a download.
fn stuck(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream.read_exact(&mut [0; 1000]).expect("the beginning");
    client
}

fn serve_large(options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    folder.write_sparse("large", 1 << 30);
    let server = Server::start(&folder.root(), options);
    (folder, server)
}

#[test]
fn d6_a_second_signal_shortens_the_wait() {
    for (first, second) in
        [(Signal::TERM, Signal::TERM), (Signal::TERM, Signal::INT), (Signal::INT, Signal::INT)]
    {
        let (_folder, mut server) = serve_large(&["-w", "2"]);
        let client = stuck(&server);
        server.signal(first);
        server.wait_for("Shutting down");
        if first == Signal::TERM {
            server.wait_for("draining 1 connections");
        }
        let started = Instant::now();
        server.signal(second);
        assert_eq!(server.wait().code(), Some(0));
        let took = started.elapsed();
        assert!(took < 4 * SECOND, "{first:?} {second:?}: {took:?}");
        drop(client);
    }
    holds("D6", "a second TERM or INT ends a drain of 30 s within 2 s", "2 s");
}

#[test]
fn d7_a_drain_fails_no_request() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.root(), &["-w", "2"]);
    let mut idle: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    idle.iter_mut().for_each(|client| assert_eq!(client.get("/ok", "").status, 200));
    let address = server.address();
    let busy: Vec<_> = (0..100)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut answers = 0;
                loop {
                    let answer = client.get("/big", "");
                    assert_eq!(answer.body.len(), 100_000);
                    answers += 1;
                    if answer.closes() {
                        return (answers, Instant::now());
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        })
        .collect();
    // Connections that are still in the queue get their responses as well; only the connects must be complete.
    eventually("they are all in", || {
        crate::support::process::connections(address.port()).iter().filter(|one| one.is_read_up()).count()
            >= 110
    });
    std::thread::sleep(Duration::from_millis(200));
    let told = Instant::now();
    server.signal(Signal::TERM);
    assert!(idle.iter_mut().all(|client| client.read_raw_to_end().is_empty()), "idle connections are closed");
    let quiet = told.elapsed();
    drop(idle);
    assert!(quiet >= Duration::from_millis(950), "and not before a quiet second: {quiet:?}");
    let answers: Vec<(u32, Instant)> =
        busy.into_iter().map(|client| client.join().expect("complete responses")).collect();
    assert_eq!(server.wait().code(), Some(0));
    let ended = Instant::now();
    let last = answers.iter().map(|(_, at)| *at).max().expect("some").max(told + quiet);
    let after = ended.saturating_duration_since(last);
    assert!(after < 2 * SECOND, "{after:?}");
    let answers: u32 = answers.iter().map(|(answers, _)| answers).sum();
    holds(
        "D7",
        format!(
            "100 busy clients: {answers} responses, 0 failed; 20 idle ones closed after {quiet:.1?}; gone {after:.1?} later"
        ),
        "0 failed, ≥ 1 s quiet, ≤ 100 ms after the last",
    );
}

#[test]
fn d7_a_drain_has_an_end() {
    let (_folder, mut server) = serve_large(&["--grace", "1"]);
    let client = stuck(&server);
    // A server may answer a new connection before its loop waits again; the second response shows that it has waited
    // since, and has counted the stuck client.
    let mut other = server.connect();
    assert_eq!([other.get("/ok", "").status, other.get("/ok", "").status], [200, 200]);
    drop(other);
    let started = Instant::now();
    server.signal(Signal::TERM);
    server.wait_for("Shutting down: up to 1 s for ");
    assert_eq!(server.wait().code(), Some(0));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(900) && took < 4 * SECOND, "{took:?}");
    drop(client);
    holds("D7", format!("--grace 1 and a client that does not read: gone after {took:.1?}"), "at the limit");
}

#[test]
fn d7_a_draining_server_refuses_new_connections() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 50_000_000]);
    let mut server = Server::start(&folder.root(), &["-w", "2"]);
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut received = vec![0; 1000];
    client.stream.read_exact(&mut received).expect("the beginning");
    server.signal(Signal::TERM);
    eventually("connections are refused", || TcpStream::connect(server.address()).is_err());
    client.stream.read_to_end(&mut received).expect("the rest");
    assert_eq!(parse_all(&received, "GET")[0].body.len(), 50_000_000);
    assert_eq!(server.wait().code(), Some(0));
    holds("D7", "a download of 50 MB is finished; meanwhile new connections are refused", "exact");
}

/// Connections that the kernel has accepted, but the worker has yet to see, are served before the stop.
#[test]
fn queued_clients_are_served_before_a_stop() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.root(), &[]);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    let worker = server.workers[0];
    halt(worker);
    let mut waiting: Vec<Client> = (0..60)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    server.signal(Signal::TERM);
    server.wait_for("Shutting down");
    send(worker, Signal::CONT);
    for client in &mut waiting {
        assert_eq!(client.read("GET").status, 200);
    }
    drop(waiting);
    assert_eq!(server.wait().code(), Some(0));
}

/// A signal during the start of the workers is not lost.
#[test]
fn a_stop_during_the_start_takes_effect() {
    let folder = Folder::new();
    for _ in 0..20 {
        let mut server = Server::start(&folder.root(), &["-w", "4"]);
        let started = Instant::now();
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{:?}", server.said());
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", server.said());
    }
}

#[test]
fn d8_a_fast_stop_is_fast() {
    let mut slowest = Duration::ZERO;
    for signal in [Signal::INT, Signal::QUIT] {
        let (_folder, mut server) = serve_large(&["-w", "2"]);
        let clients: Vec<Client> = (0..300).map(|_| stuck(&server)).collect();
        let (workers, address) = (server.children(), server.address());
        // A stopped worker takes no signals, so the master has to kill it.
        halt(workers[0]);
        let started = Instant::now();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        slowest = slowest.max(started.elapsed());
        server.wait_for("is killed");
        assert_eq!(server.count_said("is killed"), 1, "{:?}", server.said());
        assert_eq!(server.count_said("Shutting down: "), 1, "{:?}", server.said());
        assert!(!workers.iter().any(|pid| is_running(*pid)), "no process is left");
        drop(clients);
        TcpListener::bind(address).expect("the port is free");
    }
    assert!(slowest < 3 * SECOND, "{slowest:?}");
    holds(
        "D8",
        format!("300 stuck clients, a stopped worker: gone {slowest:.1?} after INT or QUIT"),
        "≤ 2 s",
    );
}
