//! The access log.

use super::{Pair, answer};
use crate::support::server::eventually;
use crate::support::{Folder, Front, Server};

const REQUESTS: [&str; 6] = [
    "GET /ok HTTP/1.1\r\nHost: a\r\nUser-Agent: \"quoted\"\r\nReferer: http://x/\r\n\r\n",
    "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /big HTTP/1.1\r\nHost: a\r\nRange: bytes=1-10\r\n\r\nGET /none HTTP/1.0\r\n\r\n",
    "BAD\x1b\r\n\r\n",
    "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
];

/// A line without its time and its duration.
fn masked(line: &str) -> String {
    let (before, rest) = line.split_once('[').expect("a moment");
    let (_, rest) = rest.split_once(']').expect("a moment");
    let (rest, time) = rest.rsplit_once(' ').expect("a time");
    assert!(time.parse::<f64>().is_ok_and(|seconds| seconds < 20.0), "{line}");
    format!("{before}[]{rest}")
}

#[test]
fn lines_of_the_access_log() {
    let folder = Folder::new();
    let both = [Front::Reactor, Front::of_this_crate()].map(|front| {
        let path = folder.beside(&format!("{front:?}.log"));
        let log = path.to_str().expect("a path");
        let server = Server::start_front(front, &folder.root(), &["--access-log", log]);
        let mut lines = Vec::new();
        for request in REQUESTS {
            answer(&server, &[request.as_bytes()], true);
            let before = lines.len();
            // A line is written when its thread has nothing else to do.
            eventually("the lines are there", || {
                let text = std::fs::read_to_string(&path).expect("a log");
                lines = text.lines().map(masked).collect();
                lines.len() > before && (request != REQUESTS[2] || lines.len() > before + 1)
            });
        }
        lines
    });
    assert_eq!(both[0].len(), REQUESTS.len() + 1);
    assert_eq!(both[0], both[1]);
}

/// The start-up lines of both are the same, but for their own numbers.
#[test]
fn start_up_lines() {
    let folder = Folder::new();
    let pair = Pair::start(&folder.root(), &["-w", "1", "--accept", "shared"]);
    let both = pair.each(|server| {
        let said = server.said().join("\n");
        said.chars().filter(|c| !c.is_ascii_digit()).collect::<String>()
    });
    assert_eq!(both[0], both[1]);
}
