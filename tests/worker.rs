//! A worker, run in this process: what cannot be brought about over the wire.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use stheno::clock::Now;
use stheno::heartbeat::Heartbeat;
use stheno::http1::{Body, Reply, Request, Response, Service, Settings, Status};
use stheno::reactor::AcceptMode;
use stheno::server::{Capacity, Layering, Worker, WorkerService};
use stheno::sys::orders;
use stheno::sys::signal::Signals;

#[allow(dead_code, unreachable_pub, reason = "shared with the tests over the wire")]
#[path = "support/rules.rs"]
mod rules;

/// Answers, unless it is asked not to.
#[derive(Debug)]
struct Moody;

impl Service for Moody {
    fn handle(&self, request: &Request<'_>, _: Now) -> Reply {
        assert_ne!(request.path(), Some(&b"/panic"[..]), "as asked for");
        let mut response = Response::new(Status::OK);
        response.body = Body::Bytes(b"fine".to_vec());
        Reply::Ready(response)
    }
}

impl WorkerService for Moody {}

/// All that comes for one request, on a connection of its own.
fn ask(address: SocketAddr, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("connect");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("send");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A connection that is dropped with what it was sent unread is reset.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        result => drop(result.expect("read")),
    }
    answer
}

/// RULES D29: a panic costs its connection; more than ten in a minute cost the worker, which is replaced.
#[test]
fn one_panic_costs_a_connection_and_eleven_the_worker() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("an address");
    let worker = thread::spawn(move || {
        let (_held_open, master_link) = orders::pair().expect("sockets");
        let worker = Worker {
            settings: Settings::default(),
            capacity: Capacity { connections: 100, per_address: None },
            service: Moody,
            access_log: None,
            listeners: vec![listener.into()],
            layering: Layering::default(),
            redirect: None,
            accept: AcceptMode::Exclusive,
            log: None,
            signals: Signals::install(&[]).expect("a pipe"),
            master_link,
            heartbeat: Heartbeat::unwatched().expect("memory"),
            grace: Duration::from_secs(1),
            counter: None,
            recorder: None,
        };
        worker.boot().expect("a loop").serve()
    });
    let mut bystander = TcpStream::connect(address).expect("connect");
    for _ in 0..10 {
        assert_eq!(ask(address, "/panic"), b"", "no answer is better than a wrong one");
        let answer = ask(address, "/");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"fine"), "the others go on");
    }
    bystander.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
    let mut beginning = [0; 15];
    bystander.read_exact(&mut beginning).expect("an answer");
    assert_eq!(&beginning, b"HTTP/1.1 200 OK");

    assert_eq!(ask(address, "/panic"), b"");
    let error = worker.join().expect("the thread").expect_err("it gives up");
    assert!(error.to_string().contains("10 panics"), "{error}");
    rules::holds(
        "D29",
        "10 panics: 10 connections lost, 10 others answered; the 11th ends the worker",
        "0 other failures",
    );
}
