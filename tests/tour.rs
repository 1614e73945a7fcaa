//! The tour in `src/lib.rs` is true: one request is followed through the functions that it names.
//!
//! A backtrace shows who called whom. One is taken in the service, which is step 6, and one in the producer of the
//! response's body, which the last step asks for its bytes.

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
use stheno::server::{Capacity, Worker, WorkerService};
use stheno::sys::fd_passing;
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
struct Follows(Stacks);

impl Service for Follows {
    fn handle(&self, _: &Request<'_>, _: Now) -> Reply {
        self.0.take();
        let mut response = Response::new(Status::OK);
        response.body = Body::Made(Box::new(FollowedBody(self.0.clone(), 4)));
        Reply::Ready(response)
    }
}

impl WorkerService for Follows {}

/// Four bytes, and the stack of the call that asks for them.
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

/// The functions that the numbered steps of the tour name first, as `module::Type::function`.
fn steps() -> Vec<String> {
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    let numbered = source.lines().filter_map(|line| line.strip_prefix("//! ")?.split_once(". "));
    let steps = numbered.filter(|(number, _)| number.parse::<u32>().is_ok());
    steps.map(|(_, text)| text.split('`').nth(1).expect("a function in backquotes").to_owned()).collect()
}

/// Serves with a worker of this process, over a socket; the stacks are those of the last request.
fn serve_one(stacks: &Stacks) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("an address");
    let (master, link) = fd_passing::pair().expect("sockets");
    let service = Follows(stacks.clone());
    let worker = thread::spawn(move || {
        let worker = Worker {
            settings: Settings::default(),
            capacity: Capacity { connections: 10, per_address: None },
            service,
            access_log: None,
            listeners: vec![listener.into()],
            accept: AcceptMode::Exclusive,
            log: None,
            signals: Signals::install(&[]).expect("a pipe"),
            life: link,
            heartbeat: Heartbeat::unwatched().expect("memory"),
            grace: Duration::from_secs(5),
        };
        worker.boot().expect("a loop").serve()
    });
    let mut stream = TcpStream::connect(address).expect("connect");
    // A first request may be answered while the loop is being set up; the one that is followed meets it turning.
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
    let mut first = [0; 15];
    stream.read_exact(&mut first).expect("a response");
    stacks.0.lock().expect("stacks").clear();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("send");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    // The end of the master is the end of its worker.
    drop(master);
    worker.join().expect("the thread").expect("a clean end");
    response
}

/// The frames of a stack, from the outermost call inwards: function and source file.
fn frames(stack: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = stack.lines().map(str::trim).collect();
    let mut frames: Vec<(String, String)> = Vec::new();
    for line in lines {
        if let Some(place) = line.strip_prefix("at ") {
            frames.last_mut().expect("a frame before its place").1 = place.to_owned();
        } else if let Some((_, function)) = line.split_once(": ") {
            // `8: handle_read<..>` where it was inlined, `8: module::Type<..>::handle_read` where not.
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
        // An optimiser may leave no line for a call; its name is there all the same.
        let is_in = |file: &str| file.is_empty() || file.contains(&room);
        let is_called = rest.any(|(called, file)| Some(called.as_str()) == name && is_in(file));
        assert!(is_called, "`{function}` does not come where the tour says it does:\n{frames:#?}");
    }
}

#[test]
fn the_tour_is_true() {
    let steps = steps();
    let at = |name: &str| {
        steps.iter().position(|step| step == name).unwrap_or_else(|| panic!("{name} is no step"))
    };
    let (handle, flush) = (at("http1::Service::handle"), at("server::Driver::flush"));
    assert_eq!(steps.len(), 9, "{steps:?}");

    let stacks = Stacks::default();
    let response = serve_one(&stacks);
    assert!(response.contains("Connection: close\r\n") && response.ends_with("body"), "{response}");
    let stacks = stacks.0.lock().expect("stacks");
    let [in_service, in_producer] = &stacks[..] else { panic!("{} stacks", stacks.len()) };

    // What has returned by then is not on the stack: the events that the driver was given, and the parsed head.
    let returned = ["http1::Connection::next_event", "http1::Head::parse"];
    let calls = |steps: &[String]| -> Vec<String> {
        steps.iter().filter(|step| !returned.contains(&step.as_str())).cloned().collect()
    };
    assert_called_in_order(in_service, &calls(&steps[..handle]));
    let way_out: Vec<String> = [&steps[..3], &steps[flush..]].concat();
    assert_called_in_order(in_producer, &way_out);
}
