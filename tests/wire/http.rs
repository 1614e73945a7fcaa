//! Responses over the wire that no row of `rules_a` examines: fields, timing, slow readers.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::support::{Folder, Server, parse_all};

fn server() -> (Folder, Server) {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &[]);
    (folder, server)
}

#[test]
fn allow_lists_the_methods() {
    let (_folder, server) = server();
    let mut client = server.connect();
    for (method, want) in [("GET", 200), ("OPTIONS", 204), ("POST", 405), ("get", 501), ("BREW", 501)] {
        let response = client.ask(&format!("{method} /ok HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(response.status, want, "{method}");
        let allow = response.field("Allow");
        assert_eq!(allow, (want != 200).then_some("GET, HEAD, OPTIONS"), "{method}");
    }
}

#[test]
fn head_says_what_get_says() {
    let (_folder, server) = server();
    let mut client = server.connect();
    for target in ["/ok", "/big", "/sub", "/none"] {
        let get = client.get(target, "");
        let head = client.ask(&format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(head.body.is_empty());
        let without_date = |fields: &[(String, String)]| -> Vec<_> {
            fields.iter().filter(|(name, _)| name != "Date").cloned().collect()
        };
        assert_eq!((head.status, without_date(&head.fields)), (get.status, without_date(&get.fields)));
    }
}

/// A malformed line is refused when it ends, without waiting for the rest of the head.
#[test]
fn malformed_lines_are_refused_when_they_end() {
    let (_folder, server) = server();
    let started = Instant::now();
    for (sent, want) in [
        ("\n", 400),
        ("\0", 400),
        ("\x16\x03\x01\x02\0\x01", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET /\r\n", 400),
        ("GET  / HTTP/1.1\r\n", 400),
        ("GET / HTTP/2.0\r\n", 505),
    ] {
        let mut client = server.connect();
        client.send(sent);
        assert_eq!(client.read("GET").status, want, "{sent:?}");
        assert!(client.read_raw_to_end().is_empty());
    }
    assert!(started.elapsed() < Duration::from_secs(5), "refused without a time-out");
}

/// RULES E4, E5, E17: budgets, full sockets and slow readers lose no byte.
#[test]
fn slow_readers_get_everything() {
    let (folder, server) = server();
    let content: Vec<u8> =
        (0..8_000_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    folder.write("large", &content);
    let mut clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            (client, Vec::new())
        })
        .collect();
    // Each client reads a little in turn, so that all sockets are full most of the time.
    let mut piece = [0; 30_011];
    while !clients.is_empty() {
        clients.retain_mut(|(client, received)| {
            let count = client.read_some(&mut piece);
            received.extend_from_slice(&piece[..count]);
            if count == 0 {
                let responses = parse_all(received, "GET");
                assert!(responses.len() == 1 && responses[0].body == content);
            }
            count > 0
        });
    }
}

/// RULES E10, A64: input after the last request does not cut its response short.
#[test]
fn late_bytes_do_not_reset_the_last_response() {
    let (folder, server) = server();
    folder.write("large", vec![b'x'; 3_000_000]);
    for _ in 0..5 {
        let mut client = server.connect();
        client.send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut piece = [0; 1000];
        client.stream.read_exact(&mut piece).expect("the beginning");
        client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
        // Meanwhile the server fills the sockets.
        std::thread::sleep(Duration::from_millis(50));
        let mut all = piece.to_vec();
        client.stream.read_to_end(&mut all).expect("the rest");
        let responses = parse_all(&all, "GET");
        assert!(responses.len() == 1 && responses[0].body.len() == 3_000_000);
    }
}
