//! The tour in `src/lib.rs` is true: the test follows one request through the functions that the tour names.
//!
//! Backtraces show the calls: one of the service, which is step 6, and one of the producer of the response's body, which
//! the last step calls for bytes.

use std::backtrace::Backtrace;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use stheno::chat::{Chunk, Producer};
use stheno::clock::Now;
use stheno::heartbeat::Heartbeat;
use stheno::http1::{Body, Reply, Request, Response, Service, Settings, Status};
use stheno::reactor::AcceptMode;
use stheno::server::{Capacity, Layering, Worker, WorkerService};
use stheno::sys::orders;
use stheno::sys::signal::Signals;

/// The stacks of the service and of the producer.
#[derive(Clone, Debug, Default)]
struct Stacks(Arc<Mutex<Vec<String>>>);

impl Stacks {
    fn take(&self) {
        self.0.lock().expect("stacks").push(Backtrace::force_capture().to_string());
    }
}

#[derive(Debug)]
struct FollowedService(Stacks);

impl Service for FollowedService {
    fn handle(&self, _: &Request<'_>, _: Now) -> Reply {
        self.0.take();
        let mut response = Response::new(Status::OK);
        response.body = Body::Made(Box::new(FollowedBody(self.0.clone(), 4)));
        Reply::Ready(response)
    }
}

impl WorkerService for FollowedService {}

/// A body of four bytes, which records the stack of the call for them.
#[derive(Debug)]
struct FollowedBody(Stacks, u64);

impl Producer for FollowedBody {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        if std::mem::take(&mut self.1) == 0 {
            return Ok(None);
        }
        self.0.take();
        Ok(Some(Chunk::Bytes(b"body".to_vec())))
    }

    fn remaining(&self) -> u64 {
        self.1
    }
}

/// Returns the first function of each numbered step of the tour, as `module::Type::function`.
fn steps() -> Vec<String> {
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    let numbered = source.lines().filter_map(|line| line.strip_prefix("//! ")?.split_once(". "));
    let steps = numbered.filter(|(number, _)| number.parse::<u32>().is_ok());
    steps.map(|(_, text)| text.split('`').nth(1).expect("a function in backquotes").to_owned()).collect()
}

/// Sends two requests to a worker in this process, over a socket; the stacks are those of the second one.
fn serve_one(stacks: &Stacks) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("an address");
    let (master, link) = orders::pair().expect("sockets");
    let service = FollowedService(stacks.clone());
    let worker = thread::spawn(move || {
        let worker = Worker {
            settings: Settings::default(),
            capacity: Capacity { connections: 10, per_address: None },
            service,
            access_log: None,
            listeners: vec![listener.into()],
            layering: Layering::default(),
            redirect: None,
            accept: AcceptMode::Exclusive,
            log: None,
            signals: Signals::install(&[]).expect("a pipe"),
            master_link: link,
            heartbeat: Heartbeat::unwatched().expect("memory"),
            grace: Duration::from_secs(5),
            counter: None,
            recorder: None,
        };
        worker.boot().expect("a loop").serve()
    });
    let mut stream = TcpStream::connect(address).expect("connect");
    // The first request may come while the loop is set up; the second one comes to a running loop.
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
    let mut first = [0; 15];
    stream.read_exact(&mut first).expect("a response");
    stacks.0.lock().expect("stacks").clear();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("send");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    // The worker ends when its master does.
    drop(master);
    worker.join().expect("the thread").expect("a clean end");
    response
}

/// Returns function and source file of each frame, from the outermost call inwards.
fn frames(stack: &str) -> Vec<(String, String)> {
    let mut frames: Vec<(String, String)> = Vec::new();
    for line in stack.lines().map(str::trim) {
        if let Some(file) = line.strip_prefix("at ") {
            frames.last_mut().expect("a frame before its file").1 = file.to_owned();
        } else if let Some((_, function)) = line.split_once(": ") {
            // `8: handle_read<..>` for an inlined call, `8: module::Type<..>::handle_read` for another.
            let path = function.split('<').next().unwrap_or_default();
            frames.push((path.rsplit("::").next().unwrap_or_default().to_owned(), String::new()));
        }
    }
    frames.reverse();
    frames
}

/// Asserts that the stack has frames of these functions, in this order from the outermost call inwards.
fn assert_called_in_order(stack: &str, functions: &[String]) {
    let frames = frames(stack);
    let mut rest = frames.iter();
    for function in functions {
        let (module, name) = (function.split("::").next(), function.rsplit("::").next());
        let room = format!("src/{}", module.expect("a module"));
        // The optimiser may drop the file of a call, but not its name.
        let is_in = |file: &str| file.is_empty() || file.contains(&room);
        let is_called = rest.any(|(called, file)| Some(called.as_str()) == name && is_in(file));
        assert!(is_called, "`{function}` is not called where the tour has it:\n{frames:#?}");
    }
}

#[test]
fn the_tour_is_true() {
    let steps = steps();
    let at = |name: &str| {
        steps.iter().position(|step| step == name).unwrap_or_else(|| panic!("{name} is not in the tour"))
    };
    let (handle, flush) = (at("http1::Service::handle"), at("server::Driver::flush"));
    assert_eq!(steps.len(), 9, "{steps:?}");

    let stacks = Stacks::default();
    let response = serve_one(&stacks);
    assert!(response.contains("Connection: close\r\n") && response.ends_with("body"), "{response}");
    let stacks = stacks.0.lock().expect("stacks");
    let [in_service, in_producer] = &stacks[..] else { panic!("{} stacks", stacks.len()) };

    // These functions have returned, and are not on the stack.
    let returned = ["http1::Connection::next_event", "http1::Head::parse"];
    let calls = |steps: &[String]| -> Vec<String> {
        steps.iter().filter(|step| !returned.contains(&step.as_str())).cloned().collect()
    };
    assert_called_in_order(in_service, &calls(&steps[..handle]));
    let way_out: Vec<String> = [&steps[..3], &steps[flush..]].concat();
    assert_called_in_order(in_producer, &way_out);
}
