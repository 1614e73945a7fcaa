//! E4, E5, E7, E16 to E19, E21: sending.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{SECOND, serve};
use crate::support::hostile::{Hostile, How, Latencies, Plan, Probe, ask_once};
use crate::support::process::is_installed;
use crate::support::rules::{holds, not_run};
use crate::support::server::eventually;
use crate::support::strace::{NO_STRACE, Strace};
use crate::support::{Client, Front, parse_all};

/// RULES E4, E7.
#[test]
fn e4_e7_budgets_and_half_closes_cut_no_response() {
    let (folder, server) = serve(&[]);
    folder.write("large", vec![b'x'; 50_000_000]);
    let mut client = server.connect();
    assert_eq!(client.get("/large", "").body.len(), 50_000_000);
    holds("E4", "50 MB in portions of 2 MiB a turn: complete", "never stalls");

    let content: Vec<u8> = (0..20_000_000u32).map(|n| (n ^ (n >> 8)).to_le_bytes()[0]).collect();
    folder.write("large", &content);
    let mut client = server.connect();
    client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\nGET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish();
    let responses = client.read_to_end("GET");
    assert!(responses.len() == 2 && responses[1].body == content, "pipelined, then half-closed");
    let ended = Hostile::half_closing(server.address(), 10, "/large").wait_until_over();
    let complete = ended.iter().filter(|ended| ended.how == How::Fin && ended.read > 20_000_000).count();
    assert_eq!(complete, 10, "{ended:?}");
    holds("E7", "10 of 10 half-closed clients read all of 20 MB", "100/100");
}

#[test]
fn e5_downloads_leave_room_for_small_responses() {
    let (folder, server) = serve(&[]);
    folder.write_sparse("sparse", 10_000_000_000);
    let quiet = Latencies::of(server.address(), "/ok", 300);
    let plan = Plan { opening: b"GET /sparse HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), ..Plan::default() };
    let downloads = Hostile::start(server.address(), 4, plan);
    downloads.wait_until_open();
    let busy = Latencies::of(server.address(), "/ok", 300);
    let read: u64 = downloads.call_off().iter().map(|ended| ended.read).sum();
    assert!(read > 10_000_000, "{read} bytes");
    assert!(busy.p50() < SECOND, "{busy}");
    holds("E5", format!("beside 4 downloads of 10 GB: {busy}; alone: {quiet}"), "p99 ≤ 5 ms, ≤ 3×");
}

#[test]
fn e16_a_small_response_is_one_segment_without_delay() {
    let (folder, server) = serve(&[]);
    folder.write("kilobyte", vec![b'x'; 1000]);
    let mut client = server.connect();
    let mut latencies: Vec<Duration> = (0..1000)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(client.get("/kilobyte", "").body.len(), 1000);
            begun.elapsed()
        })
        .collect();
    latencies.sort();
    let (p50, p99) = (latencies[500], latencies[990]);
    assert!(p50 < Duration::from_millis(20), "{p50:?}: a stall of 40 ms is an acknowledgement waited for");
    if !is_installed("ss") {
        return not_run("E16", "without ss(8) the segments of a socket cannot be counted");
    }
    let mut client = server.connect();
    client.get("/kilobyte", "");
    let local = client.stream.local_addr().expect("an address").port();
    let filter = format!("sport = :{local}");
    let output = Command::new("ss").args(["-Htin", &filter]).output().expect("ss");
    let text = String::from_utf8(output.stdout).expect("text");
    let segments = text.split("data_segs_in:").nth(1).and_then(|rest| rest.split(' ').next());
    assert_eq!(segments, Some("1"), "{text}");
    holds("E16", format!("1 kB: 1 data segment; p50 {p50:.1?}, p99 {p99:.1?}"), "1 segment, p99 ≤ 1 ms");
}

/// RULES E17, E8: the same, with errors of the system calls.
#[test]
fn e17_interrupted_and_broken_sends() {
    let (folder, server) = serve(&[]);
    folder.write("large", vec![b'x'; 3_000_000]);
    let worker = server.workers[0];
    let interrupt = ["sendto:error=EINTR:when=1+2", "sendfile:error=EINTR:when=1+3"];
    let Some(strace) = Strace::inject(worker, &interrupt) else {
        return not_run("E17", NO_STRACE);
    };
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/large", "").body.len(), 3_000_000);
        assert_eq!(client.get("/ok", "").text(), "hello\n");
    }
    drop(strace);
    for broken in
        ["sendto:error=EPIPE:when=1", "sendto:error=ECONNRESET:when=1", "sendfile:error=EPIPE:when=2"]
    {
        let _strace = Strace::inject(worker, &[broken]).expect("it went a moment ago");
        let mut client = server.connect();
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut received = Vec::new();
        let _ = std::io::Read::read_to_end(&mut client.stream, &mut received);
        assert!(received.len() < 3_000_000, "{broken}: {} bytes", received.len());
        ask_once(server.address(), "/ok");
        assert_eq!(server.children(), [worker], "{broken}");
    }
    holds(
        "E17",
        "EINTR in every other send: complete; EPIPE, ECONNRESET: that connection is closed",
        "no harm",
    );
}

/// RULES B27: before the first byte of a response a failing read is an error, later it cuts the response short.
#[test]
fn b27_files_that_cannot_be_read() {
    let (folder, server) = serve(&[]);
    folder.write("large.txt", vec![b'x'; 100_000]);
    folder.write("large", vec![b'x'; 3_000_000]);
    {
        let Some(_strace) = Strace::inject(server.workers[0], &["pread64:error=EIO"]) else {
            return not_run("B27", NO_STRACE);
        };
        for target in ["/large.txt", "/large", "/ok"] {
            for request in ["", "Range: bytes=0-9\r\n", "If-None-Match: *\r\n"] {
                assert_eq!(server.connect().get(target, request).status, 500, "{target} {request}");
            }
            let line = format!("cannot serve {}: ", &target[1..]);
            eventually("each has a line", || server.count_said(&line) == 3);
        }
    }
    {
        let _strace =
            Strace::inject(server.workers[0], &["sendfile:error=EIO"]).expect("it went a moment ago");
        assert_eq!(server.connect().get("/large", "").body.len(), 3_000_000, "read instead");
    }
    {
        let errors = ["sendfile:error=EIO", "pread64:error=EIO:when=4+"];
        let _strace = Strace::inject(server.workers[0], &errors).expect("it went a moment ago");
        let mut client = server.connect();
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut received = Vec::new();
        let _ = std::io::Read::read_to_end(&mut client.stream, &mut received);
        assert!(received.len() < 3_000_000, "{} bytes", received.len());
        server.wait_for("a response is cut short: ");
    }
    holds(
        "B27",
        "pread EIO: 500 and a line; sendfile EIO: read instead; both, later: cut short, a line",
        "as said",
    );
    let response = server.connect().get("/large.txt", "");
    assert_eq!((response.status, response.body.len()), (200, 100_000));
}

#[test]
fn e18_a_long_turn_is_logged() {
    if Front::lacks("e18_a_long_turn_is_logged") {
        return;
    }
    let (_folder, server) = serve(&[]);
    let Some(_strace) = Strace::inject(server.workers[0], &["openat2:delay_enter=200000:when=1"]) else {
        return not_run("E18", NO_STRACE);
    };
    ask_once(server.address(), "/ok");
    let line = server.wait_for("one turn of the loop took");
    let said = line.split_once("one turn").expect("a line").1;
    holds("E18", format!("a file that takes 200 ms to open: \"one turn{said}\""), "log > 100 ms");
}

/// A crowd asks at once for something that takes time: longer together than a worker may be silent.
#[test]
fn e21_a_crowd_that_asks_for_slow_files_ends_no_worker() {
    if Front::lacks("e21_a_crowd_that_asks_for_slow_files_ends_no_worker") {
        return;
    }
    const CROWD: usize = 100;
    let (_folder, server) = serve(&["-w", "1", "--worker-timeout", "1"]);
    let mut crowd: Vec<Client> = (0..CROWD).map(|_| server.connect()).collect();
    let Some(_strace) = Strace::inject(server.workers[0], &["openat2:delay_enter=25000"]) else {
        return not_run("E21", NO_STRACE);
    };
    let began = Instant::now();
    crowd.iter_mut().for_each(|client| client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"));
    for client in &mut crowd {
        assert_eq!(client.read("GET").text(), "hello\n");
    }
    let took = began.elapsed();
    assert!(took > 2 * SECOND, "{took:?}");
    assert_eq!(server.children(), server.workers, "{:?}", server.said());
    let measured =
        format!("{CROWD} files of 25 ms each at once, --worker-timeout 1: all served in {took:.1?}");
    holds("E21", measured, "no worker ends");
}

#[test]
fn e19_a_cold_file_does_not_freeze_the_others() {
    const SIZE: usize = 64 * 1024 * 1024;
    let (folder, server) = serve(&[]);
    folder.write("cold", vec![b'x'; SIZE]);
    let file = std::fs::File::open(folder.root().join("cold")).expect("the file");
    file.sync_all().expect("written out");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("fadvise");
    let probe = Probe::start(server.address(), "/ok", Duration::from_millis(1));
    let begun = Instant::now();
    assert_eq!(server.connect().get("/cold", "").body.len(), SIZE);
    let took = begun.elapsed();
    probe.wait_for_more(5);
    let probe = probe.stop();
    assert!(probe.p50() < SECOND, "{probe}");
    holds("E19", format!("64 MiB read cold in {took:.1?}; small responses {probe}"), "p99 ≤ 50 ms");
}

/// Files and ranges in one pipeline arrive complete and in order.
#[test]
fn pipelined_files_arrive_in_order() {
    let (folder, server) = serve(&[]);
    folder.write("large", vec![b'x'; 40_000]);
    let mut client = server.connect();
    let requests: String = (0..100)
        .map(|n| {
            let range = format!("Range: bytes={n}-{n}\r\n");
            let (target, field) = [("/large", ""), ("/ok", ""), ("/large", range.as_str())][n % 3];
            let close = if n == 99 { "Connection: close\r\n" } else { "" };
            format!("GET {target} HTTP/1.1\r\nHost: a\r\n{field}{close}\r\n")
        })
        .collect();
    client.send(requests);
    let responses = parse_all(&client.read_raw_to_end(), "GET");
    let lengths: Vec<usize> = responses.iter().map(|response| response.body.len()).collect();
    let want: Vec<usize> = (0..100).map(|n| [40_000, 6, 1][n % 3]).collect();
    assert_eq!(lengths, want);
}
