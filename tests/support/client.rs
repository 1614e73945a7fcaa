//! A client that sends raw bytes and reads what arrives.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::response::{Response, assert_begins, parse_each};

/// The limit for every wait of these tests; only a hanging server reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Client {
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_nodelay(true).expect("no delay");
        Self::over(stream)
    }

    /// Connects to a Unix socket. `TcpStream` is the type of the descriptor only; reads and writes work on any
    /// socket.
    pub fn connect_unix(path: &Path) -> Self {
        Self::over(OwnedFd::from(UnixStream::connect(path).expect("connect")).into())
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        Self { stream, received: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send");
    }

    /// Sends as much as the server takes, which may refuse and close meanwhile.
    pub fn try_send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&error.kind()) => {}
            result => result.expect("send"),
        }
    }

    /// Closes the sending half.
    pub fn finish(&mut self) {
        // The server may have closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads the next response.
    pub fn read(&mut self, method: &str) -> Response {
        loop {
            let mut rest = self.received.as_slice();
            if let Some(response) = Response::take(&mut rest, method) {
                let taken = self.received.len() - rest.len();
                self.received.drain(..taken);
                return response;
            }
            let mut piece = [0; 64 * 1024];
            match self.read_some(&mut piece) {
                0 => panic!(
                    "closed before the response was complete: {:?}",
                    String::from_utf8_lossy(&self.received)
                ),
                count => self.received.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Reads some bytes; returns 0 at the end.
    pub fn read_some(&mut self, piece: &mut [u8]) -> usize {
        loop {
            match self.stream.read(piece) {
                // Stopping the process interrupts a read with a time-out (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result.expect("a response"),
            }
        }
    }

    /// Reads everything until the server closes, as bytes.
    pub fn read_raw_to_end(&mut self) -> Vec<u8> {
        self.stream.read_to_end(&mut self.received).expect("the server closes");
        std::mem::take(&mut self.received)
    }

    /// Reads all responses until the server closes.
    pub fn read_to_end(&mut self, method: &str) -> Vec<Response> {
        self.read_each_to_end(&[method])
    }

    /// As [`Client::read_to_end`], for requests with these methods in turn.
    pub fn read_each_to_end(&mut self, methods: &[&str]) -> Vec<Response> {
        parse_each(&self.read_raw_to_end(), methods)
    }

    /// As [`Client::read_each_to_end`], for a client that may have sent more after its last request. Bytes that
    /// arrive after the server's close cause a reset, which follows the responses.
    pub fn read_each_to_the_close(&mut self, methods: &[&str]) -> Vec<Response> {
        match self.stream.read_to_end(&mut self.received) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            result => drop(result.expect("the server closes")),
        }
        parse_each(&std::mem::take(&mut self.received), methods)
    }

    /// Sends a request and reads its response.
    pub fn ask(&mut self, request: &str) -> Response {
        self.send(request);
        self.read(request.split(' ').next().expect("a method"))
    }

    /// Sends a GET of HTTP/1.1 with these additional field lines, each of which ends with CR LF.
    pub fn get(&mut self, target: &str, fields: &str) -> Response {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"))
    }
}

/// The rest of the input must be the beginning of a response, for example to a pipelined request. A body after
/// the response to HEAD fails this check.
impl Drop for Client {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_begins(&self.received);
        }
    }
}
