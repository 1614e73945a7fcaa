//! The cost of an event loop that does nothing else: the floor of `scripts/bench`.
//!
//! It makes the system calls that the server makes for a small file from memory — one recv and one send for
//! each batch of requests, one wait for each turn, accepted connections read at once — and nothing else: a
//! request is any input that ends with an empty line, and every response is the same. A server that parses its
//! requests cannot be cheaper, so `scripts/bench` measures all contestants against it.
//!
//! Try it: `cargo run --release --example floor -- --port 9001 --size 1024`

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use argh::FromArgs;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

/// A server that parses nothing and always sends the same response.
#[derive(FromArgs)]
struct Args {
    /// port to listen on (default 9001)
    #[argh(option, default = "9001")]
    port: u16,

    /// bytes of the body (default 1024)
    #[argh(option, default = "1024")]
    size: usize,
}

/// Connections by token. Each token is used once, so an event cannot reach another connection.
struct Floor {
    poll: Poll,
    answer: Vec<u8>,
    scratch: Box<[u8]>,
    batch: Vec<u8>,
    connections: HashMap<usize, TcpStream>,
    next: usize,
}

fn main() -> io::Result<()> {
    let args: Args = argh::from_env();
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], args.port)))?;
    let mut floor = Floor::new(args.size)?;
    floor.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("http://{}/", listener.local_addr()?);
    let mut events = Events::with_capacity(1024);
    loop {
        floor.poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&listener)?,
                Token(number) => floor.serve(number),
            }
        }
    }
}

impl Floor {
    fn new(size: usize) -> io::Result<Self> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n");
        Ok(Self {
            poll: Poll::new()?,
            answer: [head.into_bytes(), vec![b'x'; size]].concat(),
            scratch: vec![0; 64 * 1024].into(),
            batch: Vec::new(),
            connections: HashMap::new(),
            next: 0,
        })
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(self.next), both)?;
            self.connections.insert(self.next, stream);
            self.serve(self.next);
            self.next += 1;
        }
    }

    /// Reads once, and writes once for all requests in it. Responses that do not fit into the socket's buffer
    /// end the connection; the clients of the benchmark read what they asked for.
    fn serve(&mut self, number: usize) {
        let Some(stream) = self.connections.get_mut(&number) else {
            return;
        };
        let is_over = match stream.read(&mut self.scratch) {
            Ok(0) => true,
            Ok(count) => {
                let requests = memchr::memmem::find_iter(&self.scratch[..count], b"\r\n\r\n").count();
                let one = self.answer.len();
                while self.batch.len() < requests * one {
                    self.batch.extend_from_slice(&self.answer);
                }
                stream.write(&self.batch[..requests * one]).is_err()
            }
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        if is_over {
            self.connections.remove(&number);
        }
    }
}
