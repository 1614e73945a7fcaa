//! C14 to C17: ranges and the access log.

use std::time::Instant;

use super::{GET, serve};
use crate::support::rules::holds;
use crate::support::server::eventually;
use crate::support::{Folder, Server};

#[test]
fn c14_c15_ranges_neither_multiply_nor_leave_the_file() {
    let (_folder, server) = serve(&[]);
    let bomb = format!("Range: bytes={}0-\r\nConnection: close\r\n", "0-,".repeat(1300));
    let mut client = server.connect();
    client.send(format!("GET /big HTTP/1.1\r\nHost: a\r\n{bomb}\r\n"));
    let out = client.read_raw_to_end().len();
    assert!(out <= 100_000 + 4096, "{out} bytes");
    holds("C14", format!("1,300 ranges of 100,000 bytes: {out} bytes out"), "≤ size + 4 KiB");

    let mut client = server.connect();
    let hard = [
        "-9223372036854775608,-600",
        "-0",
        "5-2",
        "18446744073709551616-",
        "0-18446744073709551616",
        "-18446744073709551616",
        "99999999999999999999999999-",
        "9223372036854775807-9223372036854775807",
        "0-0,-9223372036854775808",
    ];
    for range in hard {
        let response = client.get("/big", &format!("Range: bytes={range}\r\n"));
        assert!([200, 206, 416].contains(&response.status), "{range}: {}", response.status);
        if response.status != 416 {
            let end = response.body.iter().rev().take(100).all(|byte| *byte == b'x');
            assert!(end && response.body.len() <= 100_000, "{range}");
        }
        if response.status == 206 {
            assert_eq!(response.body.len(), 100_000, "{range}: only ranges of the whole file");
        }
    }
    holds("C15", format!("{} hard ranges: 200, 416, or all of the file", hard.len()), "never other bytes");
}

#[test]
fn c16_a_blocked_access_log_costs_no_request() {
    let folder = Folder::new();
    let fifo = folder.beside("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    // Open, so that the server can write to it; it is not read.
    let _reader = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).expect("the FIFO");
    let fifo = fifo.to_str().expect("UTF-8").to_string();
    let kept = folder.beside("access.log");
    let kept = kept.to_str().expect("UTF-8");
    let rate = |log: &str| {
        let server = Server::start(&folder.root(), &["--access-log", log]);
        let mut client = server.connect();
        let begun = Instant::now();
        for _ in 0..40 {
            client.send(GET.repeat(50));
            (0..50).for_each(|_| assert_eq!(client.read("GET").status, 200));
        }
        let rate = 2000.0 / begun.elapsed().as_secs_f64();
        if log != kept {
            server.wait_for("lines lost so far");
            let lines = server.said().iter().filter(|line| line.contains("lost so far")).count();
            assert!(lines <= 12, "{lines} lines about 2,000");
        }
        rate
    };
    let works = rate(kept).max(rate(kept));
    // A log that costs requests costs them in every run; a machine that is busy elsewhere does not.
    let rate_with = |log: &str| {
        let enough = (0..10).map(|_| rate(log)).find(|rate| *rate > works / 5.0);
        enough.unwrap_or_else(|| panic!("{log}: less than a fifth of {works:.0} requests/s, ten times"))
    };
    let (full, blocked) = (rate_with("/dev/full"), rate_with(&fifo));
    let share = |rate: f64| rate / works * 100.0;
    holds(
        "C16",
        format!(
            "0 failed; /dev/full {:.0} %, FIFO {:.0} % of the rate with a working log",
            share(full),
            share(blocked)
        ),
        "0 failed, ≥ 90 %",
    );
}

#[test]
fn c17_a_request_is_one_printable_line() {
    let folder = Folder::new();
    let path = folder.beside("access.log");
    let server = Server::start(&folder.root(), &["--access-log", path.to_str().expect("UTF-8")]);
    let requests = [
        "GET /%0a%0dfake HTTP/1.1\r\nHost: a\r\nUser-Agent: \"quoted\\\"\r\n\r\n".as_bytes(),
        b"GET /ok HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xfe\x80\r\nReferer: \" 200 0 \"\r\n\r\n",
        b"GET /\x1b]0;x\x07 HTTP/1.1\r\nHost: a\r\nUser-Agent: \x1b]\r\n\r\n",
        b"GET /\r127.0.0.1 - - HTTP/1.1\r\n\r\n",
        b"GET /\xc2\x9b\xe2\x80\xae?\xc2\x85\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for request in requests {
        let mut client = server.connect();
        client.send(request);
        client.read("GET");
    }
    let lines = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("the lines are written", || lines().lines().count() >= requests.len());
    let text = lines();
    assert_eq!(text.lines().count(), requests.len(), "{text}");
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{text:?}");
    assert!(text.lines().all(|line| line.starts_with("127.0.0.1 - - [")), "{text}");
    holds("C17", format!("{0} requests, {0} printable lines", requests.len()), "1 request = 1 line");
}

/// RULES C17. The other log has names of files, at the level `debug` for each response, and of those that cannot be opened
/// as a warning.
#[test]
fn c17_a_message_with_a_name_is_one_printable_line() {
    let folder = Folder::new();
    // CSI as one character (C1), an override of the direction, a line separator, an isolate.
    let name = "a\u{9b}31m\u{202e}b\u{2028}c\u{2066}кот";
    folder.write(name, "here");
    let server = Server::start(&folder.root(), &["--log", "debug", "--file-cache", "0"]);
    let target: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(server.connect().get(&format!("/{target}"), "").text(), "here");
    let line = server.wait_for("is 4 bytes");
    let want = r"a\xc2\x9b31m\xe2\x80\xaeb\xe2\x80\xa8c\xe2\x81\xa6\xd0\xba\xd0\xbe\xd1\x82 is 4 bytes";
    assert!(line.ends_with(want), "{line:?}");
    holds(
        "C17",
        "a name with C1, bidi controls and a line separator: 1 line, escaped, in the other log",
        "only printable",
    );
}
