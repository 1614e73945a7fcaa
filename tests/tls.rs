//! A TLS session without a socket: every split of its bytes, little room, and how it ends.
#![cfg(feature = "tls")]

#[path = "support/tls.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
mod client;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;

use rustls::ClientConnection;
use rustls::version::{TLS12, TLS13};
use stheno::chat::Memory;
use stheno::tls::{Credentials, Kept, Session, Tls, TlsFiles};

/// A server's session, a client's, and the memory between them.
struct Wire {
    session: Session,
    client: ClientConnection,
    memory: Memory,
    /// What each side has received.
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    server_ended: bool,
    client_ended: bool,
    /// The room in each step.
    room: usize,
}

fn tls() -> Rc<Tls> {
    let files = TlsFiles { pairs: Vec::new(), self_signed: true };
    Rc::new(Tls::new(&Credentials::open(&files, &mut Kept::default()).expect("a certificate")))
}

impl Wire {
    fn new(tls: &Rc<Tls>, versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        Self {
            session: tls.session().expect("a session"),
            client: client::session(&client::config(versions), "localhost"),
            memory: Memory::default(),
            to_server: Vec::new(),
            to_client: Vec::new(),
            server_ended: false,
            client_ended: false,
            room: usize::MAX,
        }
    }

    /// Moves what there is in both directions. Returns whether anything was moved.
    fn step(&mut self) -> bool {
        self.client.write_tls(&mut self.memory.inbox).expect("memory");
        self.memory.room = self.room;
        let mut moved = false;
        while let Some(plain) = self.session.recv(&mut self.memory).expect("TLS") {
            moved = true;
            self.server_ended |= plain.is_empty();
            self.to_server.extend_from_slice(plain);
            if plain.is_empty() {
                break;
            }
        }
        self.session.settle(&mut self.memory, false).expect("memory");
        self.deliver() || moved || !self.memory.inbox.is_empty() || self.client.wants_write()
    }

    /// Gives the client what the server has sent.
    fn deliver(&mut self) -> bool {
        let sent = std::mem::take(&mut self.memory.sent);
        let mut rest = &sent[..];
        while !rest.is_empty() {
            self.client.read_tls(&mut rest).expect("memory");
            self.client.process_new_packets().expect("TLS");
            match self.client.reader().read_to_end(&mut self.to_client) {
                Ok(_) => self.client_ended = true,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        !sent.is_empty()
    }

    fn shake_hands(&mut self) {
        while self.client.is_handshaking() || self.session.wants_write() {
            self.step();
        }
        while self.step() {}
    }

    /// Sends as the output queue does: again and again from where the session says that it is.
    fn send_all(&mut self, mut rest: &[u8], more: bool) {
        while !rest.is_empty() {
            self.memory.room = self.room;
            match self.session.send(&mut self.memory, rest, more).expect("memory") {
                Some(count) => rest = &rest[count..],
                None => assert!(self.deliver(), "it is stuck"),
            }
        }
    }

    fn send_file(&mut self, file: &File, mut offset: u64, end: u64) {
        while offset < end {
            self.memory.room = self.room;
            match self
                .session
                .send_file(&mut self.memory, file.as_fd(), offset, end - offset)
                .expect("memory")
            {
                Some(count) => offset += count as u64,
                None => assert!(self.deliver(), "it is stuck"),
            }
        }
    }
}

fn file_of(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(content).expect("content");
    file
}

#[test]
fn every_split_and_little_room() {
    let tls = tls();
    let content: Vec<u8> = (0..100_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    let file = file_of(&content);
    for version in [&TLS12, &TLS13] {
        for (read_size, room) in [(1, usize::MAX), (1, 1), (2, 3), (7, 100), (1000, 5000), (65_536, 20_000)] {
            let mut wire = Wire::new(&tls, &[version]);
            (wire.memory.read_size, wire.room) = (read_size, room);
            wire.client.writer().write_all(b"GET / HTTP/1.1\r\n\r\n").expect("a request");
            wire.shake_hands();
            assert_eq!(wire.to_server, b"GET / HTTP/1.1\r\n\r\n", "{read_size} {room}");
            wire.send_all(b"head ", true);
            wire.send_file(&file, 10, 90_000);
            wire.send_all(&content, false);
            wire.send_all(b"the end", true);
            wire.session.shutdown(&mut wire.memory);
            while wire.step() {}
            assert!(wire.memory.is_shut_down, "{read_size} {room}");
            let want = [b"head ", &content[10..90_000], &content, b"the end"].concat();
            assert!(wire.to_client == want && wire.client_ended, "{read_size} {room}");
            wire.client.send_close_notify();
            while wire.step() && !wire.server_ended {}
            assert!(wire.server_ended);
        }
    }
}

/// What the session says to have sent has left: the last byte counts when all ciphertext is gone.
#[test]
fn nothing_counts_as_sent_before_it_has_left() {
    let mut wire = Wire::new(&tls(), &[&TLS13]);
    wire.shake_hands();
    wire.memory.room = 1000;
    let content = vec![7; 300_000];
    let count = wire.session.send(&mut wire.memory, &content, false).expect("memory").expect("some");
    assert!(count <= 1000, "{count}");
    assert_eq!(wire.session.send(&mut wire.memory, &content[count..], false).expect("memory"), None);
    wire.memory.room = 70_000;
    let more = wire.session.send(&mut wire.memory, &content[count..], false).expect("memory").expect("more");
    assert_eq!(count + more, 64 * 1024, "one piece, and no more, was encrypted");
    assert!(!wire.session.wants_write());
}

#[test]
fn a_head_and_a_small_file_are_one_record() {
    let mut wire = Wire::new(&tls(), &[&TLS13]);
    wire.shake_hands();
    wire.send_all(b"head", true);
    assert!(wire.memory.sent.is_empty());
    wire.send_file(&file_of(b"body"), 0, 4);
    assert_eq!(wire.memory.sent.len(), 5 + 8 + 1 + 16, "a header, the text, its type and a tag");
    wire.deliver();
    assert_eq!(wire.to_client, b"headbody");
    // A head whose body does not come leaves at the end of the hook.
    wire.send_all(b"alone", true);
    wire.step();
    assert_eq!(wire.to_client, b"headbodyalone");
}

#[test]
fn a_file_that_is_cut_short_is_noticed() {
    let mut wire = Wire::new(&tls(), &[&TLS13]);
    wire.shake_hands();
    let file = file_of(b"12345");
    assert_eq!(wire.session.send_file(&mut wire.memory, file.as_fd(), 5, 10).expect("memory"), Some(0));
}

#[test]
fn an_end_without_close_notify_is_an_end() {
    let mut wire = Wire::new(&tls(), &[&TLS13]);
    wire.shake_hands();
    wire.memory.is_ended = true;
    assert_eq!(wire.session.recv(&mut wire.memory).expect("memory"), Some(&[][..]));
    wire.send_all(b"still", false);
    wire.deliver();
    assert_eq!(wire.to_client, b"still");
}

#[test]
fn http_and_garbage_are_told_so() {
    let tls = tls();
    let mut wire = Wire::new(&tls, &[&TLS13]);
    wire.memory.inbox.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(wire.session.recv(&mut wire.memory).expect("memory"), Some(&[][..]));
    let sent = String::from_utf8_lossy(&wire.memory.sent).into_owned();
    let (head, body) = sent.split_once("\r\n\r\n").expect("a response");
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("https://"), "{sent}");
    assert!(head.ends_with(&format!("\r\nContent-Length: {}", body.len())), "{sent}");
    assert!(wire.memory.is_shut_down);
    for garbage in [
        &b"\0\0\0\0\0\0\0\0"[..],
        b"\x16\x03\x01\xff\xff\xff\xff\xff\xff\xff",
        b"\x15\x03\x01\0\x02\x02\x28",
        b"hello hello hello",
    ] {
        let mut wire = Wire::new(&tls, &[&TLS13]);
        wire.memory.inbox.extend_from_slice(garbage);
        let error = wire.session.recv(&mut wire.memory).expect_err("garbage");
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        let is_alert = wire.memory.sent.first() == Some(&21);
        assert!(is_alert || garbage[0] == 0x15, "{garbage:?}: {:?}", wire.memory.sent);
        assert!(wire.memory.is_shut_down);
    }
}

/// Bytes that a connection changes on their way end it.
#[test]
fn a_changed_record_ends_the_session() {
    let mut wire = Wire::new(&tls(), &[&TLS13]);
    wire.shake_hands();
    wire.client.writer().write_all(b"GET").expect("plain");
    wire.client.write_tls(&mut wire.memory.inbox).expect("memory");
    *wire.memory.inbox.last_mut().expect("a byte") ^= 1;
    let error = wire.session.recv(&mut wire.memory).expect_err("changed");
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
}
