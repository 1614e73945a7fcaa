//! C26, C27: readers that are slow, and take what they are sent.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::SECOND;
use crate::support::process::send_memory;
use crate::support::rules::holds;
use crate::support::server::eventually;
use crate::support::{Client, Folder, Server};

/// A reader that has taken this much is given much room in the kernel, and is no longer heard of for a long time.
const TAKEN_AT_ONCE: usize = 1_200_000;

/// The size of a file that the kernel does not hold as a whole.
const LARGE: usize = 10_000_000;

/// The size of a file whose rest the kernel holds when [`TAKEN_AT_ONCE`] is taken.
const SMALL: usize = 2_000_000;

fn serve(options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    folder.write_sparse("large", LARGE as u64);
    folder.write_sparse("small", SMALL as u64);
    let server = Server::start(&folder.root(), options);
    (folder, server)
}

/// A client whose kernel takes little before it is read.
fn connect(address: SocketAddr) -> Client {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(32 * 1024).expect("a receive buffer");
    socket.connect(&address.into()).expect("connect");
    Client::over(socket.into())
}

/// Reads a response to its end, or until it has `all` bytes: `at_once` of them without a pause, the rest at `rate` bytes a
/// second. Returns the number of bytes.
fn read_slowly(stream: &mut impl Read, all: usize, at_once: usize, rate: usize) -> usize {
    const PAUSE: Duration = Duration::from_millis(5);
    let mut piece = vec![0; rate * 5 / 1000];
    let (mut taken, begun) = (0, Instant::now());
    while taken < all {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => taken += count,
            Err(error) => panic!("{error} after {taken} bytes and {:?}", begun.elapsed()),
        }
        if taken > at_once {
            sleep(PAUSE);
        }
    }
    taken
}

fn ask(stream: &mut impl Write, path: &str, fields: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()).expect("send");
}

/// The kernel takes 4 MiB at once, which such a reader takes in two seconds.
#[test]
fn c26_a_steady_reader_is_no_stalled_one() {
    let (_folder, server) = serve(&["--write-timeout", "0.5"]);
    let begun = Instant::now();
    let mut client = connect(server.address());
    ask(&mut client.stream, "/large", "");
    let taken = read_slowly(&mut client.stream, LARGE, TAKEN_AT_ONCE, 2_500_000);
    assert!(taken >= LARGE, "{taken}");
    let took = begun.elapsed();
    assert!(took > 2 * SECOND, "{took:?}");
    holds(
        "C26",
        format!(
            "limit 0.5 s: a reader of 2.5 MB/s, for which the kernel holds 4 MiB, has {LARGE} bytes after {took:.1?}"
        ),
        "all of it",
    );
}

/// The kernel takes 200 KiB at once, and more when three fourths of that are read.
#[test]
fn c26_also_on_a_unix_socket() {
    const SIZE: usize = 480_000;
    let folder = Folder::new();
    folder.write_sparse("file", SIZE as u64);
    let path = folder.beside("socket");
    let listen = format!("unix:{}", path.display());
    let _server = Server::start(&folder.root(), &["--listen", &listen, "--write-timeout", "1"]);
    let mut stream = UnixStream::connect(&path).expect("connect");
    ask(&mut stream, "/file", "");
    let taken = read_slowly(&mut stream, SIZE, 0, 120_000);
    assert!(taken >= SIZE, "{taken}");
}

/// The last bytes of a response are in the kernel for longer than any time-out, and the connection is neither idle
/// nor lingering meanwhile.
#[test]
fn c27_the_rest_in_the_kernel_is_not_lost() {
    let times = ["--keepalive-timeout", "0.3", "--linger-timeout", "0.3", "--write-timeout", "1"];
    let (_folder, server) = serve(&times);
    scope(|threads| {
        threads.spawn(|| {
            let mut client = connect(server.address());
            ask(&mut client.stream, "/small", "");
            let taken = read_slowly(&mut client.stream, SMALL, TAKEN_AT_ONCE, 400_000);
            let mut rest = vec![0; 64 * 1024];
            // The head is not counted.
            client.stream.set_nonblocking(true).expect("non-blocking");
            let more = client.stream.read(&mut rest).unwrap_or(0);
            client.stream.set_nonblocking(false).expect("blocking");
            assert!(taken + more > SMALL, "{taken}");
            assert_eq!(client.get("/ok", "").status, 200, "the connection is still open");
        });
        threads.spawn(|| {
            let mut client = connect(server.address());
            ask(&mut client.stream, "/small", "Connection: close\r\n");
            // A byte that arrives after a close would be answered with a reset, which discards the rest.
            let mut other = client.stream.try_clone().expect("a second handle");
            threads.spawn(move || {
                (0..20).for_each(|_| {
                    sleep(Duration::from_millis(100));
                    other.write_all(b"x").expect("the connection lives");
                });
            });
            let taken = read_slowly(&mut client.stream, usize::MAX, TAKEN_AT_ONCE, 400_000);
            assert!(taken > SMALL, "{taken}");
        });
    });
    holds(
        "C27",
        "limits 0.3 s: the last 0.8 MB are read in 2 s, and the connection is used again",
        "all of it",
    );
}

/// A client that leaves the rest in the kernel has the write time-out for it, whatever it sends.
#[test]
fn c27_a_rest_that_is_not_taken_is_dropped() {
    let (_folder, server) = serve(&["--write-timeout", "0.6", "--keepalive-timeout", "0.2"]);
    let port = server.address().port();
    let clients = ["", "Connection: close\r\n"].map(|fields| {
        let mut client = connect(server.address());
        ask(&mut client.stream, "/small", fields);
        let mut taken = 0;
        while taken < TAKEN_AT_ONCE {
            taken += client.read_some(&mut [0; 16 * 1024]);
        }
        client
    });
    let begun = Instant::now();
    eventually("the kernel's memory is free", || send_memory(port) == 0);
    let took = begun.elapsed();
    drop(clients);
    holds(
        "C27",
        format!("limit 0.6 s: a rest that is not read is dropped after {took:.1?}"),
        "≤ twice the limit",
    );
}
