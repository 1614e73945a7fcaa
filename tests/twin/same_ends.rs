//! Time-outs, caps and the drain: the last response of a connection, and when it ends.

use std::time::{Duration, Instant};

use super::{Pair, answer, assert_same};
use crate::support::server::eventually;
use crate::support::{Client, Folder, Server};

/// How much later than its time-out an end may come: the machine may be busy with other things.
const LATE: Duration = Duration::from_secs(5);

#[test]
fn time_outs() {
    let folder = Folder::new();
    let times = ["--header-timeout", "0.5", "--keepalive-timeout", "0.8", "--body-timeout", "0.6"];
    let pair = Pair::start(&folder.root(), &times);
    let late: [(&str, &[u8], u64); 5] = [
        ("a silent client", b"", 500),
        ("half a head", b"GET /ok HTTP/1.1\r\nHo", 500),
        ("half a head behind an answer", b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\nGET /o", 500),
        ("half a body", b"POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", 600),
        ("nothing behind an answer", b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n", 800),
    ];
    // All at once, so that no case waits for the end of another.
    std::thread::scope(|threads| {
        for (what, payload, millis) in late {
            let pair = &pair;
            threads.spawn(move || {
                let both = pair.each(|server| {
                    let begun = Instant::now();
                    let said = answer(server, &[payload], false);
                    let took = begun.elapsed();
                    let least = Duration::from_millis(millis);
                    assert!(took >= least && took < least + LATE, "{what}: {took:?} in {server:?}");
                    said
                });
                assert_same(what, both);
            });
        }
    });
}

/// A reader that stalls is reset.
#[test]
fn a_reader_who_stalls() {
    let folder = Folder::new();
    folder.write_sparse("large", 100_000_000);
    let pair = Pair::start(&folder.root(), &["--write-timeout", "0.5"]);
    pair.each(|server| {
        let mut client = server.connect();
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut piece = [0; 100];
        client.read_some(&mut piece);
        // Nothing is read meanwhile, so only the other side sees the end.
        let port = client.stream.local_addr().expect("an address").port();
        eventually("the connection is reset", || !is_open(server, port));
    });
}

fn is_open(server: &Server, client: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table");
    let (local, remote) = (format!(":{:04X}", server.address().port()), format!(":{client:04X}"));
    table.lines().skip(1).any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns[1].ends_with(&local) && columns[2].ends_with(&remote) && columns[3] == "01"
    })
}

/// The longest idle connection makes room for a new one; a busy connection stays.
#[test]
fn one_too_many() {
    let folder = Folder::new();
    let pair = Pair::start(&folder.root(), &["--max-connections", "3"]);
    pair.each(|server| {
        let mut busy = server.connect();
        busy.send("GET /ok HTTP/1.1\r\nHost");
        let mut idle: Vec<Client> = (0..2).map(|_| server.connect()).collect();
        for client in &mut idle {
            assert_eq!(client.get("/ok", "").status, 200);
            // Each is idle since a time of its own.
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(server.connect().get("/ok", "").status, 200);
        assert!(idle[0].read_raw_to_end().is_empty(), "the oldest goes");
        busy.send(": a\r\n\r\n");
        assert_eq!(busy.read("GET").status, 200);
    });
}

/// When all connections are busy, a new one waits until one of them ends.
#[test]
fn a_full_house() {
    let folder = Folder::new();
    let pair = Pair::start(&folder.root(), &["--max-connections", "2"]);
    pair.each(|server| {
        let mut busy: Vec<Client> = (0..2).map(|_| server.connect()).collect();
        busy.iter_mut().for_each(|client| client.send("GET /ok HTTP/1.1\r\nHost"));
        let mut newcomer = server.connect();
        newcomer.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut rest = busy.pop().expect("a client");
        rest.send(": a\r\nConnection: close\r\n\r\n");
        assert_eq!(rest.read("GET").status, 200);
        drop(rest);
        assert_eq!(newcomer.read("GET").status, 200);
    });
}

#[test]
fn one_address_has_so_many() {
    let folder = Folder::new();
    let pair = Pair::start(&folder.root(), &["--max-connections-per-ip", "2"]);
    pair.each(|server| {
        let mut two: Vec<Client> = (0..2).map(|_| server.connect()).collect();
        two.iter_mut().for_each(|client| assert_eq!(client.get("/ok", "").status, 200));
        let mut third = server.connect();
        third.try_send(b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut piece = [0; 10];
        // A close, or a reset when the request has crossed it.
        assert!(!matches!(std::io::Read::read(&mut third.stream, &mut piece), Ok(1..)));
        drop(two.pop());
        eventually("a place is free", || {
            let mut client = server.connect();
            client.try_send(b"GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            matches!(std::io::Read::read(&mut client.stream, &mut piece), Ok(1..))
        });
    });
}

/// SIGTERM: a busy connection gets its response, with `Connection: close`; an idle one is closed; then the process ends.
#[test]
fn a_drain() {
    let folder = Folder::new();
    let mut pair = Pair::start(&folder.root(), &["-w", "2"]);
    let both = [&mut pair.server, &mut pair.twin].map(|server| {
        let (mut idle, mut busy) = (server.connect(), server.connect());
        assert_eq!(idle.get("/ok", "").status, 200);
        assert_eq!(busy.get("/ok", "").status, 200);
        busy.send("GET /ok HTTP/1.1\r\nHost");
        // The request has been read when a later one of another client has been answered, by the same worker or another.
        // The wait for the end of the idle connection makes sure that the signal comes after it.
        server.signal(rustix::process::Signal::TERM);
        assert!(idle.read_raw_to_end().is_empty());
        busy.send(": a\r\n\r\n");
        let last = busy.read("GET");
        assert!(last.status == 200 && last.closes());
        assert!(busy.read_raw_to_end().is_empty());
        // Otherwise the server would wait for this close as well.
        drop((idle, busy));
        server.wait().success()
    });
    assert_eq!(both, [true; 2]);
}
