//! The twin beside the server: the same bytes to both, and the same bytes back.
//!
//! Responses are compared raw, with three things masked that differ each time: the date, the boundary of a response
//! in several parts, and, in access logs, the duration.

mod rows;
mod same_bytes;
mod same_ends;
mod same_lines;

use std::path::Path;

use crate::support::{Front, Server};

/// The server, and the twin that this crate tests, with the same options.
#[derive(Debug)]
struct Pair {
    server: Server,
    twin: Server,
}

impl Pair {
    fn start(root: &Path, options: &[&str]) -> Self {
        let front = Front::of_this_crate();
        assert_ne!(front, Front::Reactor, "this crate has the name of no twin");
        let start = |front| Server::start_front(front, root, options);
        Self { server: start(Front::Reactor), twin: start(front) }
    }

    /// Calls `what` with both.
    fn each<T>(&self, what: impl Fn(&Server) -> T) -> [T; 2] {
        [what(&self.server), what(&self.twin)]
    }
}

/// The responses to `pieces`, each sent by itself; the client then closes its sending half if it has `finished`.
fn answer(server: &Server, pieces: &[&[u8]], finished: bool) -> Vec<u8> {
    let mut client = server.connect();
    for piece in pieces {
        client.try_send(piece);
    }
    if finished {
        client.finish();
    }
    masked(client.read_raw_to_end())
}

/// Masks what differs each time.
fn masked(bytes: Vec<u8>) -> Vec<u8> {
    // Latin-1: every byte is one character, and can be turned back.
    let mut text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let mut rest = 0;
    while let Some(at) = text[rest..].find("\r\nDate: ").map(|at| rest + at + 8) {
        let end = text[at..].find("\r\n").map_or(text.len(), |end| at + end);
        text.replace_range(at..end, "today");
        rest = at;
    }
    while let Some(at) = text.find("boundary=").map(|at| at + 9) {
        let end = text[at..].find("\r\n").map_or(text.len(), |end| at + end);
        let boundary = text[at..end].to_string();
        text = text.replace(&format!("boundary={boundary}"), "BOUNDARY").replace(&boundary, "BOUNDARY");
    }
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

/// Fails with both responses, readable.
fn assert_same(what: &str, [server, twin]: [Vec<u8>; 2]) {
    let shown = |bytes: &[u8]| bytes[..bytes.len().min(3000)].escape_ascii().to_string();
    assert!(server == twin, "{what}: the server says\n{}\nand its twin\n{}", shown(&server), shown(&twin));
}

#[test]
fn masks_hide_nothing_else() {
    let answer = b"HTTP/1.1 200 OK\r\nDate: Mon\r\nX: \xff\r\n\r\n, Date: x".to_vec();
    assert_eq!(masked(answer), b"HTTP/1.1 200 OK\r\nDate: today\r\nX: \xff\r\n\r\n, Date: x");
    let parts = b"multipart/byteranges; boundary=ab\r\n\r\n--ab\r\n1\r\n--ab--\r\n".to_vec();
    assert_eq!(masked(parts), b"multipart/byteranges; BOUNDARY\r\n\r\n--BOUNDARY\r\n1\r\n--BOUNDARY--\r\n");
}
