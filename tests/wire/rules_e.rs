//! RULES E: what epoll and TCP ask of a server. Figures that depend on the machine are printed as they are and
//! asserted with room to spare.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stheno::clock::Now;
use stheno::files::FileService;
use stheno::http1::Settings;
use stheno::server::MemoryConnection;

use crate::support::hostile::{Hostile, How, Latencies, Plan, Probe, ask_once};
use crate::support::process::{connections, cpu_time, descriptors, descriptors_at_rest, is_installed};
use crate::support::rules::{has_room_for_a_crowd, holds, not_run};
use crate::support::server::{eventually, halt, send};
use crate::support::{Client, Folder, Front, Server, parse_all};

const GET: &str = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";

const SECOND: Duration = Duration::from_secs(1);

fn serve(options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    // Descriptors are counted here: those of connections, and of files that are being sent.
    let server = Server::start(&folder.root(), &[&["--file-cache", "0"], options].concat());
    assert_eq!(server.connect().get("/ok", "").status, 200);
    (folder, server)
}

/// strace(1) on a running process, with some of its calls tampered with.
struct Strace(Child);

impl Strace {
    /// `None` where there is no strace, or it may not attach itself.
    fn inject(pid: i32, what: &[&str]) -> Option<Self> {
        let mut command = Command::new("strace");
        // -f: all of its threads.
        command.args(["-f", "-o", "/dev/null", "-p", &pid.to_string()]).stderr(Stdio::piped());
        for inject in what {
            let call = inject.split(':').next().expect("a call");
            command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={inject}")]);
        }
        let mut child = command.spawn().ok()?;
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("standard error"));
        while !said.contains("attached") {
            if stderr.read_line(&mut said).ok()? == 0 {
                let _ = child.wait();
                return None;
            }
        }
        Some(Self(child))
    }
}

/// Lets the process go.
impl Drop for Strace {
    fn drop(&mut self) {
        send(i32::try_from(self.0.id()).expect("a pid"), Signal::INT);
        let _ = self.0.wait();
    }
}

const NO_STRACE: &str = "strace is not installed or may not attach; nothing else injects errors";

/// What an epoll instance of a process watches, by the inode: from proc(5).
fn watched(pid: i32) -> BTreeSet<String> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = std::fs::read_dir(folder).expect("descriptors");
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    let all: String = texts.collect();
    let lines = all.lines().filter(|line| line.starts_with("tfd:"));
    lines.map(|line| line.split("ino:").nth(1).expect("an inode").to_string()).collect()
}

#[test]
fn e1_every_worker_has_an_epoll_of_its_own() {
    let (_folder, server) = serve(&["-w", "3"]);
    eventually("all have set themselves up", || server.workers.iter().all(|pid| watched(*pid).len() >= 4));
    let sets: Vec<_> = server.workers.iter().map(|pid| watched(*pid)).collect();
    for (index, set) in sets.iter().enumerate() {
        let others: BTreeSet<_> =
            sets.iter().enumerate().filter(|(other, _)| *other != index).flat_map(|(_, set)| set).collect();
        assert!(set.iter().any(|inode| !others.contains(inode)), "shared with another: {sets:?}");
    }
    holds("E1", "3 workers, each watches a signal pipe that no other does", "distinct");
}

#[test]
fn e2_workers_share_the_connections() {
    if Front::lacks("e2_workers_share_the_connections") {
        return;
    }
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["-w", "4", "--log", "debug"]);
    let counts = |all: usize| -> Vec<usize> {
        let count = |pid: &i32| {
            let line = format!("stheno: {pid} Incoming connection");
            server.said().iter().filter(|said| said.starts_with(&line)).count()
        };
        let counts = || server.workers.iter().map(count).collect::<Vec<_>>();
        eventually("all are logged", || counts().iter().sum::<usize>() == all);
        counts()
    };
    Latencies::of(server.address(), "/ok", 400);
    let one_by_one = counts(400);
    for _ in 0..15 {
        let attack = Hostile::half_closing(server.address(), 64, "/ok");
        assert!(attack.wait_until_over().iter().all(|ended| ended.status == Some(200)));
    }
    let after = counts(400 + 15 * 64);
    let crowd: Vec<usize> = after.iter().zip(&one_by_one).map(|(after, before)| after - before).collect();
    for counts in [&one_by_one, &crowd] {
        let (least, most) = (counts.iter().min().expect("four"), counts.iter().max().expect("four"));
        assert!(*most <= 4 * least.max(&1), "{counts:?}");
    }
    let spread = |counts: &[usize]| {
        let (least, most) = (counts.iter().min().expect("four"), counts.iter().max().expect("four"));
        format!("{most}/{least}")
    };
    holds(
        "E2",
        format!("max/min one by one {}, 64 at once {}", spread(&one_by_one), spread(&crowd)),
        "≤ 1.5",
    );
}

#[test]
fn e3_nobody_is_left_in_the_queue() {
    for mode in ["exclusive", "shared", "reuseport"] {
        let (_folder, server) = serve(&["--accept", mode]);
        let worker = server.workers[0];
        let base = descriptors_at_rest(&server);
        halt(worker);
        let silent = Hostile::silent(server.address(), 100);
        silent.wait_until_open();
        send(worker, Signal::CONT);
        eventually("all are accepted, and nobody had to knock again", || descriptors(worker) == base + 100);
        silent.call_off();
    }
    holds("E3", "100 queued, 16 a turn, then silence: 100 accepted, in each accept mode", "100/100");
}

/// RULES E4, E7.
#[test]
fn e4_e7_budgets_and_half_closes_cut_no_answer() {
    let (folder, server) = serve(&[]);
    folder.write("large", vec![b'x'; 50_000_000]);
    let mut client = server.connect();
    assert_eq!(client.get("/large", "").body.len(), 50_000_000);
    holds("E4", "50 MB in portions of 256 KiB a turn: complete", "never stalls");

    folder.write("large", vec![b'x'; 20_000_000]);
    let ended = Hostile::half_closing(server.address(), 10, "/large").wait_until_over();
    let complete = ended.iter().filter(|ended| ended.how == How::Fin && ended.read > 20_000_000).count();
    assert_eq!(complete, 10, "{ended:?}");
    holds("E7", "10 of 10 half-closed clients read all of 20 MB", "100/100");
}

#[test]
fn e5_downloads_leave_room_for_small_answers() {
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

/// RULES E6: descriptors and slots are used again at once, and no byte goes astray.
#[test]
fn e6_answers_reach_who_asked() {
    let (folder, server) = serve(&[]);
    for number in 0..50 {
        folder.write(format!("n{number}"), format!("this is {number}"));
    }
    let storm = Hostile::resetting(server.address(), 1000, "/big");
    let address = server.address();
    let threads: Vec<_> = (0..2)
        .map(|thread| {
            std::thread::spawn(move || {
                for number in 0..500 {
                    let number = (number + 25 * thread) % 50;
                    let mut client = Client::connect(address);
                    assert_eq!(client.get(&format!("/n{number}"), "").text(), format!("this is {number}"));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("every answer was the right one"));
    storm.wait_until_over();
    holds("E6", "1,000 answers among 1,000 resets: 0 astray", "0");
}

#[test]
fn e8_half_open_connections_are_not_waited_for_with_a_spinning_loop() {
    let (folder, server) = serve(&[]);
    folder.write_sparse("sparse", 10_000_000);
    let worker = server.workers[0];
    let half_head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    let (address, half_closes) = (server.address(), true);
    let attacks = [
        Hostile::silent(address, 20),
        Hostile::start(address, 20, Plan { opening: half_head, ..Plan::default() }),
        Hostile::start(address, 20, Plan { opening: GET.into(), ..Plan::default() }),
        Hostile::never_reading(address, 20, "/sparse"),
        Hostile::start(
            address,
            20,
            Plan {
                opening: b"GET /sparse HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
                reading: crate::support::hostile::Reading::Never,
                receive_buffer: 4096,
                half_closes,
                ..Plan::default()
            },
        ),
        Hostile::resetting(address, 20, "/sparse"),
    ];
    attacks.iter().for_each(Hostile::wait_until_open);
    ask_once(address, "/ok");
    let before = cpu_time(worker);
    std::thread::sleep(SECOND);
    let spent = cpu_time(worker) - before;
    assert!(spent <= Duration::from_millis(60), "{spent:?} of CPU in a second of nothing to do");
    holds("E8", format!("120 half-open connections: {spent:?} of CPU in 1 s"), "≤ 1 %");
}

#[test]
fn e9_a_storm_of_resets_frees_every_place_once() {
    if !has_room_for_a_crowd("E9") {
        return;
    }
    let (_folder, server) = serve(&["--max-connections", "500"]);
    let (worker, address) = (server.workers[0], server.address());
    let base = descriptors_at_rest(&server);
    let storm = Hostile::resetting(address, 3000, "/big");
    assert_eq!(storm.wait_until_over().len(), 3000);
    eventually("all are closed", || descriptors(worker) == base);
    // Were a place lost with each, or counted twice, there would be room for none, or for too many.
    let mut clients: Vec<Client> = (0..500).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/ok", "").status, 200));
    assert!(!server.said().iter().any(|line| line.contains("panic")), "{:?}", server.said());
    holds("E9", "3,000 resets: descriptors and 500 places as before, no panic (debug assertions on)", "0");
}

#[test]
fn e10_whoever_sends_too_much_still_reads_the_answer() {
    let (_folder, server) = serve(&[]);
    let piece = vec![b'x'; 256 * 1024];
    for number in 0..10 {
        let (method, length, want) =
            if number % 2 == 0 { ("POST", 30_000_000, 405) } else { ("GET", 30_000_000, 413) };
        let mut client = server.connect();
        client.send(format!("{method} /ok HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        for _ in 0..length / piece.len() {
            client.try_send(&piece);
        }
        assert_eq!(client.read(method).status, want);
    }
    holds("E10", "10 of 10 clients that send 30 MB read the 405 or 413", "100/100");
}

#[test]
fn e11_who_lingers_makes_room_first() {
    if !has_room_for_a_crowd("E11") {
        return;
    }
    let (_folder, server) = serve(&["--max-connections", "500"]);
    let refused = |count| {
        let plan = Plan { opening: b"BAD\r\n\r\n".to_vec(), clings: true, ..Plan::default() };
        let attack = Hostile::start(server.address(), count, plan);
        eventually("all have been refused", || attack.over() == count);
        attack
    };
    let some = refused(400);
    let mut idle = server.connect();
    assert_eq!(idle.get("/ok", "").status, 200);
    let silent = Hostile::silent(server.address(), 150);
    silent.wait_until_open();
    assert_eq!(idle.get("/ok", "").status, 200, "it goes after those that linger");
    drop((some, silent));

    let probe = Probe::start(server.address(), "/ok", Duration::from_millis(5));
    let all = refused(2000);
    probe.wait_for_more(20);
    let probe = probe.stop();
    assert!(probe.p50() < SECOND, "{probe}");
    let answered = all.call_off().iter().filter(|ended| ended.status == Some(400)).count();
    holds(
        "E11",
        format!("2,000 lingering, room for 500: {answered} read their 400; probe {probe}"),
        "newcomers are served",
    );
}

/// RULES E12: whatever accept(2) says of one connection, the next ones are accepted, and the worker lives.
#[test]
fn e12_errors_of_accept_are_lived_through() {
    let errors = [
        "EINTR",
        "ECONNABORTED",
        "EPROTO",
        "ENETDOWN",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "ENONET",
        "EHOSTUNREACH",
        "EOPNOTSUPP",
        "ENETUNREACH",
        "ETIMEDOUT",
        "ECONNRESET",
        "EPERM",
        "EAGAIN",
        "EMFILE",
        "ENFILE",
        "ENOBUFS",
        "ENOMEM",
    ];
    let (_folder, server) = serve(&[]);
    let worker = server.workers[0];
    for error in errors {
        if error == "EAGAIN" && Front::lacks("e12_errors_of_accept_are_lived_through") {
            continue;
        }
        let Some(_strace) = Strace::inject(worker, &[&format!("accept4:error={error}:when=1+2")]) else {
            return not_run("E12", NO_STRACE);
        };
        for _ in 0..3 {
            ask_once(server.address(), "/ok");
        }
        assert_eq!(server.children(), [worker], "{error}");
    }
    let complaints = server.said().iter().filter(|line| line.contains("accepting pauses")).count();
    assert_eq!(complaints, 1, "one line in 10 s: {:?}", server.said());
    holds(
        "E12",
        format!("{} errors injected into every other accept4: all clients served", errors.len()),
        "0 exits",
    );
}

/// RULES E13.
#[test]
fn e13_a_port_can_be_had_again_at_once() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.root(), &[]);
    let port = server.address().port().to_string();
    for _ in 0..10 {
        // The server closes first, and so the port keeps the connection in TIME_WAIT.
        let mut client = server.connect();
        client.get("/ok", "Connection: close\r\n");
        assert!(client.read_raw_to_end().is_empty());
        server.stop();
        server = Server::start(&folder.root(), &["--port", &port]);
    }
    let waiting = connections(server.address().port()).iter().filter(|c| c.state == 6).count();
    assert!(waiting > 0, "nothing was in TIME_WAIT");
    holds("E13", format!("10 of 10 restarts on the same port, {waiting} in TIME_WAIT"), "100/100");
}

#[test]
fn e14_a_burst_waits_in_the_queue() {
    if !has_room_for_a_crowd("E14") {
        return;
    }
    let overflows = || -> u64 {
        let text = std::fs::read_to_string("/proc/net/netstat").expect("netstat");
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter_map(|line| line.strip_prefix("TcpExt: "))
            .map(|line| line.split(' ').collect())
            .collect();
        let at = rows[0].iter().position(|name| *name == "ListenOverflows").expect("a column");
        rows[1][at].parse().expect("a number")
    };
    let (_folder, server) = serve(&[]);
    let worker = server.workers[0];
    let (before, begun) = (overflows(), Instant::now());
    halt(worker);
    let burst = Hostile::half_closing(server.address(), 2000, "/ok");
    burst.wait_until_open();
    std::thread::sleep(SECOND.saturating_sub(begun.elapsed()));
    send(worker, Signal::CONT);
    let ended = burst.wait_until_over();
    let served = ended.iter().filter(|ended| ended.status == Some(200)).count();
    let overflows = overflows() - before;
    assert_eq!(served, 2000, "overflows: {overflows}");
    holds(
        "E14",
        format!("2,000 in a burst: {served} served, {overflows} overflows"),
        "0 refused, 0 overflows",
    );
}

#[test]
fn e15_a_connection_is_seen_before_it_says_anything() {
    let (_folder, server) = serve(&[]);
    let worker = server.workers[0];
    let (base, begun) = (descriptors_at_rest(&server), Instant::now());
    let _silent = server.connect();
    eventually("it is accepted", || descriptors(worker) == base + 1);
    let seen = begun.elapsed();
    holds("E15", format!("a silent client is accepted after {seen:.1?}: no TCP_DEFER_ACCEPT"), "off");
}

/// The other way round: who says something is accepted with it, who says nothing a second later, and both are
/// answered.
#[test]
fn a_deferred_accept_waits_for_the_first_bytes() {
    let (_folder, server) = serve(&["--defer-accept"]);
    let worker = server.workers[0];
    let (base, begun) = (descriptors_at_rest(&server), Instant::now());
    let mut silent = server.connect();
    eventually("it is accepted at last", || descriptors(worker) == base + 1);
    // Never early, however slow the machine is.
    assert!(begun.elapsed() >= SECOND / 2, "accepted after {:.1?}", begun.elapsed());
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert_eq!(silent.get("/ok", "").status, 200);
}

#[test]
fn e16_a_small_answer_is_one_segment_without_delay() {
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
        return not_run("E16", "ss is not installed, and nothing else counts the segments of a socket");
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

/// Everything a connection sends for two requests, when the first send takes `first` bytes, each later one
/// `then`, and every other one nothing (EAGAIN).
fn with_cuts(service: &FileService, now: Now, first: usize, then: usize) -> Vec<u8> {
    let settings = Settings::default();
    let mut client = MemoryConnection::new(service, &settings, now);
    client.memory.room = first;
    client.receive(
        b"GET /large HTTP/1.1\r\nHost: a\r\n\r\nHEAD /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    while !client.connection().is_closed() && !client.connection().is_lingering() {
        // EAGAIN: the same segment is asked for again.
        client.memory.room = 0;
        client.flush();
        client.memory.room = then;
        client.flush();
    }
    client.memory.sent
}

#[test]
fn e17_partial_writes_at_every_byte_give_the_same_answer() {
    let folder = Folder::new();
    let content: Vec<u8> = (0..17_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    folder.write("large", &content);
    let service = FileService::open(&folder.root()).expect("the root");
    let now = Now::ask();
    let whole = with_cuts(&service, now, usize::MAX, usize::MAX);
    let get_len = whole.len();
    assert!(whole.windows(content.len()).any(|window| window == content), "{get_len} bytes");
    // A cut at each byte around the places where something begins or ends, and every 97th between.
    let cuts = (1..600).chain((600..get_len).step_by(97)).chain(get_len - 400..get_len);
    let count = cuts.clone().count();
    for first in cuts {
        assert!(with_cuts(&service, now, first, usize::MAX) == whole, "cut at {first}");
    }
    for step in [1, 2, 3, 5, 7, 100] {
        assert!(with_cuts(&service, now, step, step) == whole, "in steps of {step}");
    }
    holds(
        "E17",
        format!("{count} cuts, and steps of 1 to 100 bytes with EAGAIN between: identical"),
        "identical",
    );
}

/// RULES E17, E8: the same with the kernel's word for it.
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

#[test]
fn e18_a_long_turn_is_worth_a_line() {
    if Front::lacks("e18_a_long_turn_is_worth_a_line") {
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
    holds("E19", format!("64 MiB read cold in {took:.1?}; small answers {probe}"), "p99 ≤ 50 ms");
}

#[test]
fn e20_no_claim_without_a_run() {
    not_run(
        "E20",
        "there is no system with kqueue here; the poller is mio's, and nothing of ours is particular to it",
    );
}

/// What is answered behind all this is still what was asked for.
#[test]
fn every_answer_of_a_pipeline_arrives_although_files_wait_for_each_other() {
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
