//! A server at rest in its work asks the allocator for nothing: what one request needed, the next one uses again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use stheno::files::{FileService, Options};
use stheno::heartbeat::Heartbeat;
use stheno::http1::Settings;
use stheno::reactor::{AcceptMode, Listener, Probe, Reactor, Recorded};
use stheno::recording::{Recorder, RecorderOptions};
use stheno::server::{Acceptor, Capacity, Shared};

/// The system's allocator, which counts for the thread that asks it to.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTS: Cell<bool> = const { Cell::new(false) };
}

fn note() {
    if COUNTS.get() {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs the loop of a server on a thread of its own, whose allocations are counted.
fn serve<P: Probe + 'static>(
    root: std::path::PathBuf,
    stop: &'static AtomicBool,
    reactor: fn() -> Reactor<P>,
) -> (SocketAddr, thread::JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || {
        COUNTS.set(true);
        let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
        socket.set_nonblocking(true).expect("non-blocking");
        tell.send(socket.local_addr().expect("an address")).expect("told");
        // Longer than the test: looking again at a file once a second is no cost of a request.
        let options = Options { file_cache: Duration::from_secs(3600), ..Options::default() };
        let service = FileService::with_options(&root, options).expect("the root");
        let mut reactor = reactor();
        let capacity = Capacity { connections: 100, per_address: None };
        let shares = Heartbeat::unwatched().expect("memory").shares();
        let shared =
            Rc::new(Shared::new(Settings::default(), service, None, capacity, shares, reactor.waker()));
        let listener = Listener::new(socket, AcceptMode::Exclusive);
        reactor.add(Acceptor::new(listener, shared, Rc::new(())));
        while !stop.load(Ordering::Relaxed) {
            reactor.turn(Some(Duration::from_millis(20))).expect("a turn");
        }
    });
    (told.recv().expect("it listens"), server)
}

/// Sends `request` `times` times at once, and reads as many responses of `length` bytes.
fn ask(client: &mut TcpStream, request: &str, times: usize, length: usize) {
    client.write_all(request.repeat(times).as_bytes()).expect("send");
    let mut answers = vec![0; times * length];
    client.read_exact(&mut answers).expect("the answers");
}

/// The length of a response, head and body.
fn length_of(client: &mut TcpStream, request: &str, body: usize) -> usize {
    client.write_all(request.as_bytes()).expect("send");
    let mut answer = Vec::new();
    let mut piece = [0; 65536];
    loop {
        let count = client.read(&mut piece).expect("an answer");
        assert!(count > 0, "the server has closed");
        answer.extend_from_slice(&piece[..count]);
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n")
            && answer.len() >= end + 4 + body
        {
            return answer.len();
        }
    }
}

#[test]
fn requests_allocate_nothing() {
    static STOP: AtomicBool = AtomicBool::new(false);
    count_allocations(&STOP, || Reactor::new().expect("a loop"));
}

/// Nor do those that are recorded, and that the doctor looks at.
#[test]
fn recording_allocates_nothing() {
    static STOP: AtomicBool = AtomicBool::new(false);
    count_allocations(&STOP, || {
        let options = RecorderOptions { doctor: true, ..RecorderOptions::default() };
        Reactor::with_probe(Recorded::new(Recorder::new(options))).expect("a loop")
    });
}

/// The counter is one for both tests.
static ALONE: Mutex<()> = Mutex::new(());

fn count_allocations<P: Probe + 'static>(stop: &'static AtomicBool, reactor: fn() -> Reactor<P>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small"), vec![b'x'; 1024]).expect("a file");
    std::fs::write(folder.path().join("large"), vec![b'x'; 100 * 1024]).expect("a file");
    for name in ["small", "large"] {
        let file = std::fs::File::options().write(true).open(folder.path().join(name)).expect("the file");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("an old date");
    }
    let (address, server) = serve(folder.path().to_owned(), stop, reactor);
    let mut counted = Vec::new();
    for (what, fields, target, body, at_once) in [
        ("one at a time", "", "/small", 1024, 1),
        ("a browser's fields", "User-Agent: a\r\nAccept: */*\r\nCookie: b=c\r\n", "/small", 1024, 1),
        ("16 pipelined", "", "/small", 1024, 16),
        ("sent by the kernel", "", "/large", 100 * 1024, 1),
        ("not modified", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n", "/small", 0, 1),
    ] {
        let mut client = TcpStream::connect(address).expect("connect");
        client.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let length = length_of(&mut client, &request, body);
        // What is made once and kept is made here, as soon as the last change of the file is no longer a recent one.
        let (begun, mut rounds) = (Instant::now(), 0);
        while rounds < 20 && begun.elapsed() < Duration::from_secs(5) {
            let before = COUNT.load(Ordering::Relaxed);
            ask(&mut client, &request, at_once, length);
            rounds = if COUNT.load(Ordering::Relaxed) == before { rounds + 1 } else { 0 };
        }
        let before = COUNT.load(Ordering::Relaxed);
        for _ in 0..200 {
            ask(&mut client, &request, at_once, length);
        }
        counted.push((what, COUNT.load(Ordering::Relaxed) - before));
    }
    stop.store(true, Ordering::Relaxed);
    server.join().expect("the loop");
    println!("allocations in 200 rounds: {counted:?}");
    assert!(COUNT.load(Ordering::Relaxed) > 0, "nothing was counted at all");
    assert!(counted.iter().all(|(_, count)| *count == 0), "{counted:?}");
}
