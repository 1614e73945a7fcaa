//! One client script over every echo rung: several clients, split writes, a half-close, a silent client, a
//! large echo with a slow reader, a reset; then tests of single rungs.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};
use stheno::sys::process::raise_descriptor_limit;

use crate::golden::{self, model};
use crate::rung::{PATIENCE, Rung, connect, expect_end};

/// More than the buffers of both sides hold, with or without a queue between them.
const TOO_MUCH: usize = 64 * 1024 * 1024;

macro_rules! echo_rungs {
    ($folder:literal $($name:ident $options:expr;)*) => {
        /// All of them.
        pub const RUNGS: &[&str] = &[$(concat!($folder, stringify!($name))),*];

        $(mod $name {
            const NAME: &str = concat!($folder, stringify!($name));
            const OPTIONS: &[&str] = &$options;

            #[test]
            fn speaks_to_several_clients() {
                crate::echo::several_clients(NAME, OPTIONS);
            }

            #[test]
            fn keeps_nothing_from_a_slow_reader() {
                crate::echo::slow_reader(NAME, OPTIONS);
            }

            #[test]
            fn survives_silence_and_resets() {
                crate::echo::silence_and_resets(NAME, OPTIONS);
            }

            #[test]
            fn logs_what_the_lab_logs() {
                crate::echo::transcript(NAME, OPTIONS);
            }
        })*
    };
}

echo_rungs! {
    ""
    tcp_singlethread ["--timeout", "20"];
    tcp_multithread ["--timeout", "20"];
    tcp_threadpool ["--threads", "4"];
    tcp_multiprocess ["--processes", "4"];
    tcp_multiprocess_threads ["--processes", "2", "--threads", "2"];
    tcp_select [];
    tcp_mio [];
    tcp_reactor [];
    tcp_chat [];
    tcp_tokio [];
}

/// The twins in Python: the same script, and the same logs.
pub mod python {
    echo_rungs! {
        "python/"
        tcp_singlethread ["--timeout", "20"];
        tcp_multithread ["--timeout", "20"];
        tcp_threadpool ["--threads", "4"];
        tcp_multiprocess ["--processes", "4"];
        tcp_multiprocess_threads ["--processes", "2", "--threads", "2"];
        tcp_select [];
        tcp_asyncio [];
    }
}

/// Whether the rung serves one client after the other.
fn is_single(name: &str) -> bool {
    model(name) == "tcp_singlethread"
}

fn say(client: &mut TcpStream, text: &[u8]) {
    client.write_all(text).expect("send");
}

/// Reads as many bytes as `text` has, and compares them.
fn hear(client: &mut TcpStream, text: &[u8]) {
    let mut heard = vec![0; text.len()];
    client.read_exact(&mut heard).expect("an echo");
    assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(text));
}

/// Closes the sending half, and reads to the end.
fn finish(client: &mut TcpStream) -> Vec<u8> {
    client.shutdown(Shutdown::Write).expect("a half-close");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("the end");
    rest
}

fn several_clients(name: &str, options: &[&str]) {
    let rung = Rung::start_quiet(name, options);
    // All at once, each with a message in two pieces and a half-close right after it.
    let mut clients: Vec<TcpStream> = (0..3).map(|_| rung.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        say(client, b"Mess");
        say(client, format!("age {number}\n").as_bytes());
        client.shutdown(Shutdown::Write).expect("a half-close");
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).expect("the end");
        assert_eq!(String::from_utf8_lossy(&heard), format!("Message {number}\n"));
    }
    // In turns, so that the clients wait for each other; the single-threaded rung gets one client.
    let count = if is_single(name) { 1 } else { 3 };
    let mut clients: Vec<TcpStream> = (0..count).map(|_| rung.connect()).collect();
    for round in 0..5 {
        for (number, client) in clients.iter_mut().enumerate() {
            let text = format!("Client {number}, message {round}\n");
            say(client, &text.as_bytes()[..3]);
            say(client, &text.as_bytes()[3..]);
            hear(client, text.as_bytes());
        }
    }
    assert!(clients.iter_mut().all(|client| finish(client).is_empty()));
    // A half-close while most of the echo is in flight.
    let text = "A line of thirty-two characters\n".repeat(4000);
    let mut client = rung.connect();
    let mut sender = client.try_clone().expect("a clone");
    let sent = text.clone();
    let sender = std::thread::spawn(move || {
        say(&mut sender, sent.as_bytes());
        sender.shutdown(Shutdown::Write).expect("a half-close");
    });
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).expect("the end");
    sender.join().expect("the sender");
    assert!(heard == text.as_bytes(), "{} bytes of {}", heard.len(), text.len());
    let transcript = rung.stop();
    assert!(transcript.status.success(), "{transcript:?}");
}

/// A client that sends without reading, until the rung stops reading; then it reads everything. The rung's
/// sends are then partial, and the loop for the rest in the lab's programs 1 and 8 does not end.
fn slow_reader(name: &str, options: &[&str]) {
    let rung = Rung::start_quiet(name, options);
    let mut client = rung.connect();
    client.set_nonblocking(true).expect("non-blocking");
    let line = |number: usize| format!("{number:099}\n").into_bytes();
    let content: Vec<u8> = (0..TOO_MUCH / 100).flat_map(line).collect();
    let mut sent = 0;
    while sent < content.len() {
        match client.write(&content[sent..content.len().min(sent + 64 * 1024)]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock && !has_room_soon(&client) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(sent < content.len(), "{name} reads without limit from a client that does not read");
    client.set_nonblocking(false).expect("blocking");
    let end = content.len().min((sent / 100 + 1000) * 100);
    let mut sender = client.try_clone().expect("a clone");
    let content = std::sync::Arc::new(content);
    let rest = std::sync::Arc::clone(&content);
    let sender = std::thread::spawn(move || {
        say(&mut sender, &rest[sent..end]);
        sender.shutdown(Shutdown::Write).expect("a half-close");
    });
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).expect("the end");
    sender.join().expect("the sender");
    assert!(heard == content[..end], "{} bytes of {end}", heard.len());
    assert!(rung.stop().status.success());
}

/// Whether the other side reads more within a time that is long enough for that.
fn has_room_soon(client: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec { tv_sec: 0, tv_nsec: 150_000_000 };
    // An interrupted wait has no result.
    poll(&mut [PollFd::from_borrowed_fd(client.as_fd(), PollFlags::OUT)], Some(&timeout)) != Ok(0)
}

/// Silence and resets of one client do not affect another. The lab's `select` server ended with the first
/// client that was gone when the server sent to it.
fn silence_and_resets(name: &str, options: &[&str]) {
    let rung = Rung::start_quiet(name, options);
    let silent = (!is_single(name)).then(|| rung.connect());
    for _ in 0..5 {
        let mut rude = rung.connect();
        say(&mut rude, &b"going\n".repeat(10_000));
        hear(&mut rude, b"going\n");
        socket2::SockRef::from(&rude).set_linger(Some(Duration::ZERO)).expect("linger");
        drop(rude);
        // The next client gets the descriptor that has become free, without anything of the previous client.
        let mut polite = rung.connect();
        say(&mut polite, b"still there?\n");
        hear(&mut polite, b"still there?\n");
        assert!(finish(&mut polite).is_empty());
    }
    if let Some(mut silent) = silent {
        say(&mut silent, b"at last\n");
        hear(&mut silent, b"at last\n");
    }
    let transcript = rung.stop();
    assert!(transcript.status.success(), "{transcript:?}");
}

/// The same conversation with each rung; its log is compared with the lab's lines.
fn transcript(name: &str, options: &[&str]) {
    let rung = Rung::start(name, golden_options(name).unwrap_or(options));
    let mut first = rung.connect();
    say(&mut first, b"Hey server\n");
    hear(&mut first, b"Hey server\n");
    let mut second = connect(rung.address);
    let ports = [&first, &second].map(|client| client.local_addr().expect("an address").port());
    if is_single(name) {
        finish(&mut first);
    }
    say(&mut second, b"It's \\ \"\t\x00\xff\r\n");
    hear(&mut second, b"It's \\ \"\t\x00\xff\r\n");
    say(&mut second, b"It's bytes\n");
    hear(&mut second, b"It's bytes\n");
    if !is_single(name) {
        finish(&mut first);
    }
    finish(&mut second);
    if is_single(name) {
        rung.wait_for_out(&format!("Bye-bye: 127.0.0.1:{}", ports[1]));
    } else {
        for port in ports {
            let bye = if model(name) == "tcp_select" { "Bye-Bye" } else { "Bye-bye" };
            rung.wait_for(&format!("{bye}: 127.0.0.1:{port}"));
        }
    }
    let port = rung.address.port();
    golden::compare(name, &rung.stop(), port, &ports);
}

/// As many threads and processes as clients, so that it is known which one serves which client.
fn golden_options(name: &str) -> Option<&'static [&'static str]> {
    match model(name) {
        "tcp_threadpool" => Some(&["--threads", "2"]),
        "tcp_multiprocess" => Some(&["--processes", "2"]),
        "tcp_multiprocess_threads" => Some(&["--processes", "2", "--threads", "1"]),
        _ => None,
    }
}

#[test]
fn silent_clients_are_closed() {
    let names = ["tcp_singlethread", "tcp_multithread", "python/tcp_singlethread", "python/tcp_multithread"];
    for name in names {
        let rung = Rung::start_quiet(name, &["--timeout", "1"]);
        let begun = Instant::now();
        let mut silent = rung.connect();
        // In one rung it waits for the silent client; in the other it is served at the same time.
        let mut next = rung.connect();
        say(&mut next, b"Hey server\n");
        hear(&mut next, b"Hey server\n");
        assert!(begun.elapsed() >= Duration::from_secs(1) || !is_single(name), "{name}");
        expect_end(&mut silent);
        assert!(begun.elapsed() >= Duration::from_secs(1), "{name}");
        expect_end(&mut next);
        assert!(rung.stop().status.success());
    }
}

/// The lab's threads in `accept` never see the shutdown event, nor does a thread with a silent client.
#[test]
fn every_thread_of_the_pool_sees_the_shutdown() {
    ["tcp_threadpool", "python/tcp_threadpool"].into_iter().for_each(sees_the_shutdown);
}

fn sees_the_shutdown(name: &str) {
    let rung = Rung::start(name, &[]);
    let mut silent = rung.connect();
    rung.wait_for("New client");
    let begun = Instant::now();
    let transcript = rung.stop();
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    expect_end(&mut silent);
    assert!(transcript.status.success());
    let last_words = transcript.err.iter().filter(|line| line.ends_with("Shutting down thread"));
    assert_eq!(last_words.count(), 10, "{:?}", transcript.err);
    assert_eq!(transcript.out.last().map(String::as_str), Some("Shutting down..."));
}

/// The lab's `-w` binds in each child, so that all but one fail. Here one socket serves them all.
#[test]
fn every_process_serves_and_none_is_left() {
    ["tcp_multiprocess", "python/tcp_multiprocess"].into_iter().for_each(leaves_no_process);
}

fn leaves_no_process(name: &str) {
    for (signal, to_all) in [(Signal::INT, false), (Signal::INT, true), (Signal::TERM, false)] {
        let rung = Rung::start(name, &["--processes", "4"]);
        let mut clients: Vec<TcpStream> = (0..4).map(|_| rung.connect()).collect();
        for client in &mut clients {
            say(client, b"ping\n");
            hear(client, b"ping\n");
        }
        for number in 1..=4 {
            rung.wait_for(&format!("(Process-{number} ) (MainThread) Recv: b'ping\\n'"));
        }
        // A terminal sends Ctrl+C to the whole group.
        if to_all {
            rustix::process::kill_process_group(rung.pid(), signal).expect("kill");
        } else {
            rustix::process::kill_process(rung.pid(), signal).expect("kill");
        }
        let transcript = rung.wait();
        assert!(transcript.status.success(), "{transcript:?}");
        assert_eq!(transcript.out.last().map(String::as_str), Some("Shutting down..."));
        clients.iter_mut().for_each(expect_end);
    }
}

/// A set of select(2) has no room for descriptors from 1024 on; C programs write past its end.
#[test]
fn select_refuses_large_descriptors() {
    let allowed = raise_descriptor_limit();
    if allowed < 4096 {
        return println!("not run: 4096 descriptors are needed, {allowed} are allowed");
    }
    ["tcp_select", "python/tcp_select"].into_iter().for_each(refuses_large_descriptors);
}

fn refuses_large_descriptors(name: &str) {
    let rung = Rung::start(name, &[]);
    let mut served: Vec<TcpStream> = Vec::new();
    let refused = loop {
        let mut client = rung.connect();
        say(&mut client, b"Hey server\n");
        let mut heard = [0; 11];
        match client.read_exact(&mut heard) {
            Ok(()) => served.push(client),
            Err(_) => break client,
        }
        assert!(served.len() < 1024, "no client is refused");
    };
    let address = refused.local_addr().expect("an address");
    let line = rung.wait_for("is too large");
    let plain = "descriptor 1024 is too large for select, which has room for 0 to 1023: ";
    assert_eq!(line, format!("[ERROR] (MainProcess) (MainThread) {plain}{address} is turned away"));
    assert!(served.len() > 1000, "{}", served.len());
    // The other clients are served as before, and after one has left there is room for another.
    assert!(finish(&mut served[0]).is_empty());
    for client in [&mut rung.connect(), &mut served[1]] {
        say(client, b"still there?\n");
        hear(client, b"still there?\n");
    }
    assert!(rung.stop().status.success());
}

/// A rung without free descriptors continues when one is free, and can be stopped meanwhile. The lab's servers
/// end, or spin.
#[test]
fn a_rung_without_descriptors_waits_for_one() {
    let rungs = ["tcp_threadpool", "tcp_select", "tcp_mio", "tcp_reactor", "tcp_chat", "tcp_tokio"];
    for name in rungs.into_iter().chain(["python/tcp_threadpool", "python/tcp_select", "python/tcp_asyncio"])
    {
        let rung = Rung::start_quiet(name, &[]);
        let maximum = getrlimit(Resource::Nofile).maximum;
        let current = Some(rung.descriptors() as u64 + 3);
        prlimit(Some(rung.pid()), Resource::Nofile, Rlimit { current, maximum }).expect("a limit");
        let mut clients: Vec<TcpStream> = (0..10).map(|_| rung.connect()).collect();
        for client in &mut clients {
            say(client, b"Hey server\n");
            hear(client, b"Hey server\n");
            assert!(finish(client).is_empty(), "{name}");
        }
        // All descriptors are in use when it is stopped.
        let taken: Vec<TcpStream> = (0..10).map(|_| rung.connect()).collect();
        assert!(rung.stop().status.success(), "{name}");
        drop(taken);
    }
}

/// A line has a limit; asynchat sets none.
#[test]
fn a_line_without_an_end_closes_the_connection() {
    let rung = Rung::start("tcp_chat", &[]);
    let mut client = rung.connect();
    say(&mut client, b"first\n");
    hear(&mut client, b"first\n");
    let mut sent = 0;
    while client.write_all(&[b'x'; 4096]).is_ok() {
        sent += 4096;
        assert!(sent < TOO_MUCH, "the rung stores input without limit");
    }
    assert!(rung.stop().status.success());
}

/// It ends at its own limit, with a message.
#[test]
fn threads_run_out_at_the_limit() {
    let (code, out, err) = crate::rung::run("toomanythreads", &["--limit", "256"]);
    let counts: Vec<usize> = out.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(counts.len() > 20 && counts.len() < 256, "{out}");
    assert!(counts.iter().enumerate().all(|(at, count)| *count == at + 2), "{out}");
    assert!(err.starts_with("toomanythreads: can't start new thread: "), "{err}");
    assert_eq!((code, err.lines().count()), (1, 1));

    let (code, out, err) = crate::rung::run("toomanythreads", &["--threads", "3"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "2\n3\n4\n", ""));
}
