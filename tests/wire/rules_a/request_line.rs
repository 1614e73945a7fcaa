//! RULES A1 to A4, A6 to A9, A22: the request line and its version.

use std::fs;

use super::{bytes, bytes_but, cases, get, line, post, request, row};
use crate::support::server::eventually;
use crate::support::{Dice, Folder, Server, rules};

#[test]
fn a1_empty_lines_before_a_request() {
    row("A1", "10 skipped, the 11th 400", |row| {
        let empty = |count: usize| "\r\n".repeat(count).into_bytes();
        for count in 1..=10 {
            row.serves(&[200], [empty(count), get("")].concat());
            row.serves(&[200], [get(""), empty(count)].concat());
            row.serves(&[405], [post("Content-Length: 3\r\n", "abc"), empty(count)].concat());
        }
        row.serves(&[200, 200], [empty(10), get(""), empty(10), get(""), empty(10)].concat());
        for count in [11, 12, 100] {
            row.refuses(&[400], empty(count));
            row.ends(&[200, 400], [get(""), empty(count)].concat());
        }
        for not_empty in cases("A1 not empty") {
            row.refuses(&[400], not_empty);
        }
    });
}

#[test]
fn a2_bare_line_feeds() {
    row("A2", "400, 0 canaries", |row| {
        let whole = "GET /ok HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
        for method in ["GET", "HEAD", "POST", "BREW"] {
            row.methods(&[method]);
            let whole = whole.replacen("GET", method, 1);
            let ends: Vec<usize> = whole.match_indices("\r\n").map(|(at, _)| at).collect();
            for at in &ends {
                // Without its CR, with CR and LF swapped, and with another LF before or after it.
                for instead in ["\n", "\n\r", "\n\r\n", "\r\n\n", "\n\n"] {
                    let (before, behind) = (&whole[..*at], &whole[at + 2..]);
                    // After the whole head, this LF is the start of the next request.
                    if instead != "\r\n\n" || !behind.is_empty() {
                        row.refuses(&[400], format!("{before}{instead}{behind}"));
                    }
                }
            }
            row.refuses(&[400], whole.replace("\r\n", "\n"));
        }
        row.methods(&["GET"]);
        row.refuses(&[400], "GET / HTTP/1.1\n");
        row.refuses(&[400], "GET / HTTP/2.0\n");
        row.refuses(&[400], "GET\n");
        row.refuses(&[400], post("Content-Length: 3\nX: 1\r\n", "abc"));
    });
}

#[test]
fn a3_bare_carriage_returns() {
    row("A3", "400, 0 canaries", |row| {
        let whole = "GET /ok HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
        // At every position; before an LF this makes a line end with two CRs.
        for at in 0..whole.len() {
            row.refuses(&[400], format!("{}\r{}", &whole[..at], &whole[at..]));
        }
        // In place of a line end.
        for (at, _) in whole.match_indices("\r\n") {
            row.refuses(&[400], format!("{}\r{}", &whole[..at], &whole[at + 2..]));
        }
        row.refuses(&[400], whole.replace("\r\n", "\r"));
        row.refuses(&[400], whole.replace("\r\n", "\r\r\n"));
        // In requests that would get another status otherwise, and in incomplete ones.
        row.refuses(&[400], "GET / HTTP/2.0\rHost: a\r\n\r\n");
        row.refuses(&[400], "GET / HTTP/1.1\rX");
        row.refuses(&[400], get("Expect: x\ry\r\n"));
        row.refuses(&[400], get("Transfer-Encoding: gzip\r, chunked\r\n"));
    });
}

#[test]
fn a4_spaces_in_the_request_line() {
    row("A4", "400, 0 canaries", |row| {
        for white in
            [" ", "\t", "  ", " \t", "\x0b", "\x0c", "\x1c", "\x1f", "\u{a0}", "\u{85}", "\u{2003}", "\0"]
        {
            // In place of either space, beside it, and around the line.
            if white != " " {
                row.refuses(&[400], line(format!("GET{white}/ok HTTP/1.1")));
                row.refuses(&[400], line(format!("GET /ok{white}HTTP/1.1")));
            }
            row.refuses(&[400], line(format!("GET {white}/ok HTTP/1.1")));
            row.refuses(&[400], line(format!("GET{white} /ok HTTP/1.1")));
            // White space above 7F is a part of the name, as in every byte-wise reader.
            let inside = line(format!("GET /ok{white} HTTP/1.1"));
            if white.is_ascii() {
                row.refuses(&[400], inside)
            } else {
                row.serves(&[404], inside)
            }
            row.refuses(&[400], line(format!("GET /ok {white}HTTP/1.1")));
            row.refuses(&[400], line(format!("{white}GET /ok HTTP/1.1")));
            row.refuses(&[400], line(format!("GET /ok HTTP/1.1{white}")));
        }
    });
}

#[test]
fn a6_http_0_9() {
    row("A6", "400, 0 canaries", |row| {
        for method in ["GET", "HEAD"] {
            row.methods(&[method]);
            for rest in [" /ok", " /", " /ok ", " ", "", " http://a/ok", " /ok HTTP", " /ok 0.9"] {
                row.refuses(&[400], format!("{method}{rest}\r\n"));
                row.refuses(&[400], format!("{method}{rest}\r\n\r\n"));
                row.refuses(&[400], line(format!("{method}{rest}")));
            }
            for version in ["HTTP/0.9", "HTTP/0.0", "HTTP/0.1", "HTTP/0"] {
                row.refuses(&[400], line(format!("{method} /ok {version}")));
            }
        }
    });
}

#[test]
fn a7_malformed_versions() {
    row("A7", "400, 0 canaries", |row| {
        for version in cases("A7 versions") {
            row.refuses(&[400], line(format!("GET /ok {version}")));
        }
        for byte in bytes_but(|byte| byte.is_ascii_digit()) {
            row.refuses(&[400], line(bytes(&[b"GET /ok HTTP/1.", &[byte]])));
        }
    });
}

#[test]
fn a8_later_minor_versions() {
    row("A8", "served as HTTP/1.1", |row| {
        for minor in 2..=9 {
            let first = format!("GET /ok HTTP/1.{minor}");
            row.serves(&[200], line(&first));
            row.ends(&[200], request(&first, "Connection: close\r\n", ""));
            row.serves(&[200], request(&first, "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"));
            row.ends(&[200], request(&first, "Expect: 100-continue\r\nContent-Length: 3\r\n", ""));
            row.refuses(&[417], request(&first, "Expect: x\r\n", ""));
            row.refuses(&[400], format!("{first}\r\n\r\n"));
        }
        // A version elsewhere than at the end of the request line has no effect.
        row.serves(&[200], "GET /ok?HTTP/1.2 HTTP/1.2\r\nHost: a\r\nX: HTTP/1.2\r\n\r\n");
    });
}

#[test]
fn a9_later_major_versions() {
    row("A9", "505, 0 canaries", |row| {
        for major in 2..=9 {
            for minor in 0..=9 {
                row.refuses(&[505], line(format!("GET /ok HTTP/{major}.{minor}")));
            }
            // Refused at the end of the line, whatever follows it.
            row.refuses(&[505], format!("GET /ok HTTP/{major}.0\r\n"));
            row.refuses(&[505], format!("GET /ok HTTP/{major}.0\r\nHost: a\nX : 1\r\n\r\n"));
            row.refuses(&[505], line(format!("BREW * HTTP/{major}.0")));
        }
        row.refuses(&[505], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        row.refuses(&[505], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0");
        row.methods(&["HEAD"]).refuses(&[505], line("HEAD / HTTP/2.0"));
    });
}

#[test]
fn a22_noise() {
    let noise = noise();
    row("A22", "400, at most one line in the log", |row| {
        noise.iter().for_each(|noise| row.refuses(&[400], noise));
    });
    let folder = Folder::new();
    let path = folder.beside("access.log");
    let server = Server::start(&folder.root(), &["--access-log", path.to_str().expect("UTF-8")]);
    for noise in &noise {
        let mut client = server.connect();
        client.try_send(noise);
        assert_eq!(client.read_to_end("GET").len(), 1);
    }
    assert_eq!(server.connect().get("/ok?last", "").status, 200);
    let log = || fs::read_to_string(&path).unwrap_or_default();
    eventually("the last line is written", || log().contains("/ok?last"));
    let lines = log().lines().count() - 1;
    assert!(lines <= noise.len(), "{lines} lines for {} connections", noise.len());
    assert!(log().chars().all(|c| c == '\n' || c.is_ascii_graphic() || c == ' '), "only what can be printed");
    let said = server.said().len();
    let ratio =
        format!("{lines} log lines for {} connections of noise, {said} lines on standard error", noise.len());
    rules::holds("A22", ratio, "at most one line each");
}

/// The first bytes of other protocols, and random bytes.
fn noise() -> Vec<Vec<u8>> {
    let mut noise: Vec<Vec<u8>> = [
        &b"\x16\x03\x00\0\x61\x01\0\0\x5d\x03\0"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\nGET / HTTP/1.1\r\n",
        b"\x16\x03\x03\0\x31\x01\0\0\x2d\x03\x03",
        b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO mail\r\n",
        b"PING\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x05\x01\0",
        b"\x04\x01\0\x50\x7f\0\0\x01\0",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        b"OPTIONS rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"INVITE sip:u@a SIP/2.0\r\n\r\n",
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        b"\0\0\0\x2f\xffSMB",
        b"{\"jsonrpc\":\"2.0\"}\r\n",
        b"<policy-file-request/>\0",
        b"\xef\xbb\xbfGET / HTTP/1.1\r\n",
        b"\xff\xfeG\0E\0T\0 \0",
        b"stats\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"GET/ok HTTP/1.1\r\n",
    ]
    .map(<[u8]>::to_vec)
    .into();
    let mut dice = Dice::new(22);
    for length in 1..=200 {
        let mut random: Vec<u8> = (0..length + 8).map(|_| dice.roll().to_le_bytes()[0]).collect();
        // The first byte is in no method, so the rest has no effect.
        random[0] |= 0x80;
        noise.push(random);
    }
    noise
}
