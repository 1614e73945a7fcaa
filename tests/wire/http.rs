//! The protocol: connections, methods, bodies, pipelines.

use std::io::{Read, Write};
use std::time::Duration;

use crate::support::server::eventually;
use crate::support::{Folder, Server, parse_all};

fn server() -> (Folder, Server) {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &[]);
    (folder, server)
}

fn statuses(server: &Server, bytes: impl AsRef<[u8]>) -> Vec<u16> {
    let mut client = server.connect();
    client.try_send(bytes.as_ref());
    client.finish();
    client.read_to_end("GET").iter().map(|response| response.status).collect()
}

#[test]
fn a_connection_is_kept_and_one_is_not() {
    let (_folder, server) = server();
    let mut client = server.connect();
    for _ in 0..3 {
        let response = client.get("/ok", "");
        assert_eq!((response.status, response.text()), (200, "hello\n"));
        assert_eq!(response.field("Connection"), Some("keep-alive"));
    }
    assert!(client.get("/ok", "Connection: close\r\n").closes());
    assert!(client.read_raw_to_end().is_empty());

    let mut old = server.connect();
    assert!(!old.ask("GET /ok HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").closes());
    assert!(old.ask("GET /ok HTTP/1.0\r\n\r\n").closes());
    assert!(old.read_raw_to_end().is_empty());
}

#[test]
fn methods() {
    let (_folder, server) = server();
    let mut client = server.connect();
    for (method, want) in [
        ("GET", 200),
        ("HEAD", 200),
        ("OPTIONS", 204),
        ("POST", 405),
        ("PUT", 405),
        ("DELETE", 405),
        ("PATCH", 405),
        ("TRACE", 405),
        ("get", 501),
        ("BREW", 501),
        ("M-SEARCH", 501),
    ] {
        let response = client.ask(&format!("{method} /ok HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(response.status, want, "{method}");
        let allow = response.field("Allow");
        assert_eq!(allow, (want != 200).then_some("GET, HEAD, OPTIONS"), "{method}");
    }
    let connect = client.ask("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert_eq!(connect.status, 405);
    assert_eq!(client.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").status, 204, "RULES A17");
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

/// RULES A62.
#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let (folder, server) = server();
    for number in 0..100 {
        folder.write(format!("n{number}"), format!("this is {number}"));
    }
    let requests: String =
        (0..1000).map(|n| format!("GET /n{} HTTP/1.1\r\nHost: a\r\n\r\n", n % 100)).collect();
    let mut client = server.connect();
    client.send(requests);
    for number in 0..1000 {
        assert_eq!(client.read("GET").text(), format!("this is {}", number % 100));
    }
}

/// RULES A63, A64.
#[test]
fn nothing_is_answered_behind_an_error_or_a_close() {
    let (_folder, server) = server();
    let good = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(statuses(&server, format!("{good}BAD\r\n\r\n{good}")), [200, 400]);
    let last = "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(statuses(&server, format!("{good}{last}{good}{good}")), [200, 200]);
}

/// RULES E7: a client that has said all it has to say still reads the whole answer.
#[test]
fn a_half_closed_client_gets_everything() {
    let (folder, server) = server();
    let content: Vec<u8> = (0..20_000_000u32).map(|n| (n ^ (n >> 8)).to_le_bytes()[0]).collect();
    folder.write("large", &content);
    for _ in 0..3 {
        let mut client = server.connect();
        client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\nGET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        client.finish();
        let responses = client.read_to_end("GET");
        assert_eq!(responses.len(), 2);
        assert!(responses[1].body == content);
    }
}

/// RULES E10: with a plain close the client's sending would fail before it could read.
#[test]
fn an_upload_that_is_refused_still_reads_the_refusal() {
    let (_folder, server) = server();
    for _ in 0..5 {
        let mut client = server.connect();
        client.send("POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n");
        let piece = vec![b'x'; 256 * 1024];
        // As far as the server lets us.
        for _ in 0..115 {
            if client.stream.write_all(&piece).is_err() {
                break;
            }
        }
        assert_eq!(client.read("POST").status, 405);
    }
}

#[test]
fn bodies_are_read_past_if_they_are_small_and_closed_on_if_they_are_not() {
    let (_folder, server) = server();
    let canary = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";
    for (method, length, want) in [
        ("POST", 65_536, vec![405, 200]),
        ("POST", 65_537, vec![405]),
        ("GET", 65_536, vec![200, 200]),
        ("GET", 65_537, vec![200]),
        ("GET", 1_048_577, vec![413]),
    ] {
        let body = "x".repeat(length);
        let sized =
            format!("{method} /ok HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}{canary}");
        assert_eq!(statuses(&server, sized), want, "{method} with {length} bytes");
    }
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    let chunked = |chunks: usize| {
        let head = "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{}0\r\n\r\n{canary}", chunk.repeat(chunks))
    };
    assert_eq!(statuses(&server, chunked(1)), [405, 200]);
    assert_eq!(statuses(&server, chunked(2)), [405]);
}

/// RULES A49: a body that is cut short is no request.
#[test]
fn a_body_that_ends_early_is_never_answered() {
    let (_folder, server) = server();
    assert!(statuses(&server, "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").is_empty());
    assert!(statuses(&server, "GET /ok HTTP/1.1\r\nHost: a\r\n").is_empty());
}

/// RULES A41, A42.
#[test]
fn expectations() {
    let (_folder, server) = server();
    let mut client = server.connect();
    let expecting = "POST /ok HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let response = client.ask(expecting);
    assert_eq!(response.status, 405, "the final answer, without waiting for the body");
    assert!(response.closes());
    assert!(client.read_raw_to_end().is_empty());
    let mut client = server.connect();
    assert_eq!(client.get("/ok", "Expect: 200-ok\r\n").status, 417);
}

/// RULES E3, E4, E5, E17: budgets, full sockets and slow readers lose no byte.
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
    // All of them at once, a little each, so that every socket is full most of the time.
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

/// RULES E8: nobody is waited for with a spinning loop.
#[test]
fn half_open_connections_cost_nothing() {
    let (_folder, server) = server();
    let cpu = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.workers[0])).expect("stat");
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("ticks")).sum()
    };
    let mut kept = Vec::new();
    for number in 0..50 {
        let mut client = server.connect();
        match number % 5 {
            // Idle; half a head; answered and idle; a body that never comes; a reader that does not read.
            0 => {}
            1 => client.send("GET / HT"),
            2 => assert_eq!(client.get("/ok", "").status, 200),
            3 => client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"),
            _ => client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n".repeat(40)),
        }
        kept.push(client);
    }
    // Whatever was sent has been seen to once a later client is answered.
    assert_eq!(server.connect().get("/ok", "").status, 200);
    let before = cpu();
    std::thread::sleep(Duration::from_secs(1));
    let ticks = cpu() - before;
    assert!(ticks <= 2, "{ticks} ticks of CPU in a second of nothing to do");
    drop(kept);
    let descriptors = || {
        let folder = format!("/proc/{}/fd", server.workers[0]);
        std::fs::read_dir(folder).expect("descriptors").count()
    };
    let mut client = server.connect();
    client.get("/ok", "");
    eventually("the connections are gone", || descriptors() < 20);
}

/// RULES C20, E9: a storm of short and reset connections leaves nothing behind.
#[test]
fn churn_leaves_no_descriptors() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["--file-cache", "0"]);
    let descriptors = || {
        let folder = format!("/proc/{}/fd", server.workers[0]);
        std::fs::read_dir(folder).expect("descriptors").count()
    };
    // The worker has set itself up once it has answered, and closed once we read the end.
    let mut first = server.connect();
    first.get("/ok", "Connection: close\r\n");
    assert!(first.read_raw_to_end().is_empty());
    let before = descriptors();
    for number in 0..2000 {
        let mut client = server.connect();
        match number % 4 {
            0 => drop(client.get("/ok", "Connection: close\r\n")),
            1 => client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"),
            2 => client.send("junk\n"),
            _ => {
                client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
                stheno::sys::socket::reset_on_close(&client.stream).expect("a reset");
            }
        }
    }
    eventually("all connections are closed", || descriptors() == before);
}

/// Silent and slow clients are shown out in time; the long limits are tested with a clock of their own.
#[test]
fn a_lone_line_feed_and_noise_are_refused_at_once() {
    let (_folder, server) = server();
    let started = std::time::Instant::now();
    for noise in ["\n", "GET / HTTP/1.1\nHost: a\n\n", "\x16\x03\x01\x02\0\x01", "\0"] {
        let mut client = server.connect();
        client.send(noise);
        assert_eq!(client.read("GET").status, 400, "{noise:?}");
        assert!(client.read_raw_to_end().is_empty());
    }
    assert!(started.elapsed() < Duration::from_secs(5), "refused without waiting for more");
}

/// RULES E10, A64: what comes behind the last request does not cut its answer short.
#[test]
fn late_bytes_do_not_reset_the_last_answer() {
    let (folder, server) = server();
    folder.write("large", vec![b'x'; 3_000_000]);
    for _ in 0..5 {
        let mut client = server.connect();
        client.send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut piece = [0; 1000];
        client.stream.read_exact(&mut piece).expect("the beginning");
        client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
        // Long enough for the server to have sent all that the sockets hold.
        std::thread::sleep(Duration::from_millis(50));
        let mut all = piece.to_vec();
        client.stream.read_to_end(&mut all).expect("the rest");
        let responses = parse_all(&all, "GET");
        assert!(responses.len() == 1 && responses[0].body.len() == 3_000_000);
    }
}

/// A first line that is wrong is not waited on.
#[test]
fn a_bad_request_line_is_refused_when_it_ends() {
    let (_folder, server) = server();
    for (line, want) in [("GET /\r\n", 400), ("GET  / HTTP/1.1\r\n", 400), ("GET / HTTP/2.0\r\n", 505)] {
        let mut client = server.connect();
        client.send(line);
        assert_eq!(client.read("GET").status, want, "RULES A4, A6, A9: {line:?}");
    }
}
