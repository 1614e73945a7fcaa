//! A client that sends what it is told and reads what comes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::response::{Response, assert_begins, parse_each};

/// Nothing in these tests takes longer, unless it hangs.
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

    /// Over a Unix socket: what is read from and written to is a descriptor, whatever its type says.
    pub fn connect_unix(path: &Path) -> Self {
        Self::over(OwnedFd::from(UnixStream::connect(path).expect("connect")).into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        Self { stream, received: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send");
    }

    /// Sends as much as the server takes: it may refuse and close in the middle.
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

    /// The next answer.
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
                    "closed before the answer was whole: {:?}",
                    String::from_utf8_lossy(&self.received)
                ),
                count => self.received.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Some bytes, as they come; 0 at the end.
    pub fn read_some(&mut self, piece: &mut [u8]) -> usize {
        loop {
            match self.stream.read(piece) {
                // A read with a time-out is interrupted by a mere stop of the process (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result.expect("an answer"),
            }
        }
    }

    /// Everything that comes until the server closes, as bytes.
    pub fn read_raw_to_end(&mut self) -> Vec<u8> {
        self.stream.read_to_end(&mut self.received).expect("the server closes");
        std::mem::take(&mut self.received)
    }

    /// Everything that comes until the server closes.
    pub fn read_to_end(&mut self, method: &str) -> Vec<Response> {
        self.read_each_to_end(&[method])
    }

    /// As [`Client::read_to_end`], for requests with these methods in turn.
    pub fn read_each_to_end(&mut self, methods: &[&str]) -> Vec<Response> {
        parse_each(&self.read_raw_to_end(), methods)
    }

    /// As [`Client::read_each_to_end`], for a client that may have sent more behind its last request: when that
    /// comes after the close it is answered with a reset, behind the answers.
    pub fn read_each_to_the_close(&mut self, methods: &[&str]) -> Vec<Response> {
        match self.stream.read_to_end(&mut self.received) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            result => drop(result.expect("the server closes")),
        }
        parse_each(&std::mem::take(&mut self.received), methods)
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &str) -> Response {
        self.send(request);
        self.read(request.split(' ').next().expect("a method"))
    }

    /// A GET of HTTP/1.1 with more field lines, each ended by CR LF.
    pub fn get(&mut self, target: &str, fields: &str) -> Response {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"))
    }
}

/// What was received and not asked for must be the beginning of an answer, such as one to a request that was
/// pipelined: a body behind the answer to HEAD is none.
impl Drop for Client {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_begins(&self.received);
        }
    }
}
