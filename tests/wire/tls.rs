//! TLS: `--tls-cert --tls-key --tls-self-signed --redirect-http`.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};

use crate::support::server::{eventually, run};
use crate::support::tls::{self, Stream};
use crate::support::{Client, Folder, Response, Server, parse_all};

/// Words, with the paths among them.
fn words<'a>(pairs: &'a [(std::path::PathBuf, std::path::PathBuf)], more: &[&'a str]) -> Vec<&'a str> {
    let paths = pairs.iter().flat_map(|(certificate, key)| {
        ["--tls-cert", certificate.to_str().expect("UTF-8"), "--tls-key", key.to_str().expect("UTF-8")]
    });
    paths.chain(more.iter().copied()).collect()
}

fn get(stream: &mut Stream, target: &str, fields: &str) -> Response {
    write!(stream, "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n").expect("send");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer, and close_notify");
    parse_all(&answer, "GET").remove(0)
}

/// A connection that stays, after a first response.
fn keep(address: SocketAddr, config: &Arc<ClientConfig>) -> Stream {
    let mut stream = tls::connect(address, config, "localhost");
    stream.write_all(b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello\n") {
        let mut piece = [0; 1000];
        let count = stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "closed");
        answer.extend_from_slice(&piece[..count]);
    }
    stream
}

fn certificate(address: SocketAddr, name: &str) -> Vec<u8> {
    let mut stream = tls::connect(address, &tls::config(&[&TLS13]), name);
    assert_eq!(get(&mut stream, "/ok", "").text(), "hello\n");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream.conn.peer_certificates().expect("a certificate")[0].to_vec()
}

#[test]
fn files_ranges_and_pipelines() {
    let folder = Folder::new();
    let content: Vec<u8> = (0..10_485_760_u32).map(|at| (at % 249) as u8).collect();
    folder.write("ten", &content);
    let server = Server::start(&folder.root(), &["--tls-self-signed"]);
    assert!(server.said()[2].starts_with("  url      https://"));
    server.wait_for("  sha-256  ");
    for version in [&TLS12, &TLS13] {
        let config = tls::config(&[version]);
        let connect = || tls::connect(server.address(), &config, "localhost");
        assert!(get(&mut connect(), "/ten", "").body == content);
        let part = get(&mut connect(), "/ten", "Range: bytes=5000000-5099999\r\n");
        assert!(part.status == 206 && part.body == content[5_000_000..5_100_000]);
        assert_eq!(get(&mut connect(), "/none", "").status, 404);
        let mut stream = connect();
        let requests = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n".repeat(40) + "GET /big HTTP/1.0\r\n\r\n";
        stream.write_all(requests.as_bytes()).expect("send");
        // The half that the client closes is the one that it has sent all on.
        stream.conn.send_close_notify();
        stream.flush().expect("send");
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).expect("answers");
        let answers = parse_all(&answers, "GET");
        assert_eq!(answers.len(), 41);
        assert!(answers[..40].iter().all(|answer| answer.text() == "hello\n"));
        assert_eq!(answers[40].body.len(), 100_000);
    }
}

/// Whichever worker answers: all have the same keys.
#[test]
fn sessions_resume_with_every_worker() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["--tls-self-signed", "-w", "2"]);
    for version in [&TLS12, &TLS13] {
        let config = tls::config(&[version]);
        let first = keep(server.address(), &config);
        assert_eq!(first.conn.handshake_kind(), Some(HandshakeKind::Full));
        // The workers keep equal shares of the connections.
        let others: Vec<Stream> = (0..8).map(|_| keep(server.address(), &config)).collect();
        for other in &others {
            assert_eq!(other.conn.handshake_kind(), Some(HandshakeKind::Resumed));
        }
        drop((first, others));
    }
    let config = tls::config(&[&TLS13]);
    drop(keep(server.address(), &config));
    server.signal(Signal::HUP);
    eventually("both workers drain", || server.count_said("draining") == 2);
    let after = keep(server.address(), &config);
    assert_eq!(after.conn.handshake_kind(), Some(HandshakeKind::Resumed), "a reload keeps the keys");
}

#[test]
fn the_name_chooses_the_certificate() {
    let folder = Folder::new();
    let pairs = ["one", "two"].map(|name| tls::copy(name, &folder.beside("")));
    let server = Server::start(&folder.root(), &words(&pairs, &[]));
    let of = |name: &str| certificate(server.address(), name);
    let (one, two) = (of("one.example"), of("two.example"));
    assert_ne!(one, two);
    assert_eq!(of("WWW.two.example"), two, "a wildcard, in any case");
    for name in ["other.example", "a.b.two.example", "192.0.2.1"] {
        assert_eq!(of(name), one, "{name}: the first one is the default");
    }
}

/// A download goes on, and new connections have the new certificate.
#[test]
fn a_reload_changes_the_certificate_and_loses_no_connection() {
    let folder = Folder::new();
    folder.write_sparse("long", 30_000_000);
    let pair = tls::copy("one", &folder.beside(""));
    let server = Server::start(&folder.root(), &words(std::slice::from_ref(&pair), &[]));
    let before = certificate(server.address(), "one.example");
    let mut download = tls::connect(server.address(), &tls::config(&[&TLS13]), "localhost");
    download.write_all(b"GET /long HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("send");
    let mut answer = vec![0; 100_000];
    download.read_exact(&mut answer).expect("its beginning");

    let (certificate_2, key_2) = tls::copy("two", &folder.beside(""));
    // A pair that does not match is refused, and the old one stays.
    fs::rename(certificate_2, &pair.0).expect("replaced");
    server.signal(Signal::HUP);
    server.wait_for("does not belong to the certificate");
    assert_eq!(certificate(server.address(), "one.example"), before);
    fs::rename(key_2, &pair.1).expect("replaced");
    server.signal(Signal::HUP);
    eventually("the old worker drains", || server.count_said("draining") == 1);
    assert_ne!(certificate(server.address(), "one.example"), before);
    download.read_to_end(&mut answer).expect("the rest");
    assert_eq!(parse_all(&answer, "GET")[0].body.len(), 30_000_000);
}

#[test]
fn http_on_the_port_is_told_so_and_a_slow_handshake_is_cut() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["--tls-self-signed", "--header-timeout", "0.5"]);
    let mut plain = Client::connect(server.address());
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = String::from_utf8(plain.read_raw_to_end()).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    let mut slow = Client::connect(server.address());
    slow.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(slow.read_raw_to_end(), b"\x15\x03\x03\0\x02\x01\0", "closed, with close_notify");
    let mut garbage = Client::connect(server.address());
    garbage.send(b"\x16\x03\x01\xff\xff\xff\xff\xff");
    assert_eq!(garbage.read_raw_to_end().first(), Some(&21), "an alert");
}

/// The kernel holds up to 4 MiB of records, which such a reader takes in two seconds.
#[test]
fn a_steady_reader_is_no_stalled_one() {
    const SIZE: usize = 6_000_000;
    let folder = Folder::new();
    folder.write_sparse("large", SIZE as u64);
    let server = Server::start(&folder.root(), &["--tls-self-signed", "--write-timeout", "0.5"]);
    let mut stream = tls::connect(server.address(), &tls::config(&[&TLS13]), "localhost");
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
    let (mut taken, mut piece) = (0, vec![0; 10_000]);
    while taken < SIZE {
        let count = stream.read(&mut piece).expect("the next bytes");
        assert!(count > 0, "closed after {taken} bytes");
        taken += count;
        if taken > 1_200_000 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

#[test]
fn plain_requests_are_redirected() {
    let folder = Folder::new();
    let socket = format!("unix:{}", folder.beside("socket").display());
    let log = folder.beside("access.log");
    let log_name = log.to_str().expect("UTF-8");
    let options = [
        "--tls-self-signed",
        "--redirect-http",
        "127.0.0.1:0",
        "--listen",
        &socket,
        "--access-log",
        log_name,
    ];
    let server = Server::start(&folder.root(), &options);
    let line = server.wait_for("  redirect http://");
    let place: SocketAddr = line["  redirect http://".len()..line.len() - 1].parse().expect("an address");
    let port = server.address().port();
    let ask = |request: &str| {
        let mut client = Client::connect(place);
        client.send(request);
        String::from_utf8(client.read_raw_to_end()).expect("text")
    };
    for (target, host, want) in [
        ("/a%20b//c?q=%zz&x", "example.org:80", format!("https://example.org:{port}/a%20b//c?q=%zz&x")),
        ("//evil/", "[::1]", format!("https://[::1]:{port}//evil/")),
    ] {
        let answer = ask(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let is_redirect = answer.starts_with("HTTP/1.1 308 ") && answer.contains("\r\nConnection: close\r\n");
        assert!(is_redirect && answer.contains(&format!("\r\nLocation: {want}\r\n")), "{answer}");
    }
    for bad in ["GET / HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"] {
        assert!(ask(bad).starts_with("HTTP/1.1 400 "));
    }
    assert_eq!(server.connect_unix().get("/ok", "").text(), "hello\n", "a Unix socket is plain");
    // Redirects are in the access log as well.
    let count = |words: &str| fs::read_to_string(&log).unwrap_or_default().matches(words).count();
    eventually("the lines", || {
        count(" HTTP/1.1\" 308 ") == 2 && count("\" 400 ") == 2 && count("GET /ok ") == 1
    });
}

#[test]
fn mistakes_and_checks() {
    let folder = Folder::new();
    let root = folder.root();
    let (one, key) = tls::copy("one", &folder.beside(""));
    let (two, key_2) = tls::copy("two", &folder.beside(""));
    let (old, old_key) = tls::copy("old", &folder.beside(""));
    let check = |certificate: &Path, key: &Path| {
        let pairs = [(certificate.to_path_buf(), key.to_path_buf())];
        let root = root.to_str().expect("UTF-8");
        let (code, _, said) = run(&words(&pairs, &["--check", "-r", root, "--port", "0"]));
        (code, said)
    };
    assert_eq!(check(&one, &key).0, 0);
    let (code, said) = check(&old, &old_key);
    assert!(code == 0 && said.contains("expire"), "{said}");
    let (nameless, nameless_key) = tls::copy("nameless", &folder.beside(""));
    let (code, said) = check(&nameless, &nameless_key);
    assert!(code == 0 && said.contains("names no host"), "{said}");
    let (inside, inside_key) = tls::copy("one", &folder.root());
    let (code, said) = check(&inside, &inside_key);
    assert!(code == 1 && said.contains("inside of the directory"), "{said}");
    let unix = format!("unix:{}", folder.beside("socket").display());
    let words = ["--tls-self-signed", "--redirect-http", "127.0.0.1:0", "--listen", &unix, "--check"];
    let (code, _, said) = run(&words);
    assert!(code == 2 && said.contains("give a TCP place"), "{said}");
    let empty = folder.beside("empty");
    fs::write(&empty, "").expect("a file");
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o600)).expect("its mode");
    let mut mode = fs::metadata(&key_2).expect("a key").permissions();
    mode.set_mode(0o644);
    fs::set_permissions(&key_2, mode).expect("its mode");
    for (certificate, key, says) in [
        (&one, &old_key, "does not belong"),
        (&two, &key_2, "chmod 600"),
        (&key, &key, "no CERTIFICATE block"),
        (&one, &one, "chmod 600"),
        (&one, &empty, "PRIVATE KEY"),
        (&folder.beside("none"), &key, "cannot read the certificate"),
        (&one, &folder.beside("none"), "cannot read the key"),
    ] {
        let (code, said) = check(certificate, key);
        assert!(code == 1 && said.contains(says) && said.lines().count() == 1, "{code} {said}");
    }
}
