//! - New here: epoll or kqueue, through mio: the kernel keeps the list and reports each *change* once.
//! - Try it: `cargo run --example tcp_mio -- --loop`, and `nc localhost 9090` in several terminals.
//! - What it costs: one system call to register a client; a turn costs in proportion to the ready clients only.
//! - Break it: `scripts/loop tcp_mio+lost_edge`: unread input is not reported again; or `+reads_on`.
//!
//! This rung does by hand what the library does in the next one, `tcp_reactor`. Another way to break it: a
//! client that sends without a pause keeps the loop to itself. The reactor limits the share of a turn that each
//! channel gets.

#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;

use log::{debug, error};
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use seed::{Format, Repr, TcpArgs};
use socket2::{Domain, Socket, Type};
use stheno::recording::{Keys, Why};
use stheno::sys::signal::{Signal, Signals};

const LISTENER: Token = Token(0);
const CTRL_C: Token = Token(1);

struct Server {
    poll: Poll,
    serversocket: TcpListener,
    /// Clients by token. Each token is used once, so a late event cannot reach another client.
    clients: HashMap<Token, Client>,
    next: Token,
}

struct Client {
    socket: TcpStream,
    address: SocketAddr,
    /// Bytes that were read and have yet to be sent back.
    message: Vec<u8>,
}

fn main() -> ExitCode {
    recording::main(serve)
}

fn serve(args: TcpArgs) -> io::Result<()> {
    seed::basic_config(&Format::Processes);
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_nonblocking(true)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(128)?;
    let mut serversocket = TcpListener::from_std(serversocket.into());

    let signals = Signals::install(&[Signal::Interrupt, Signal::Terminate])?;
    recording::start("mio", Keys::Token, "read write register hook", include_str!("tcp_mio.rs"))?;
    println!("Starting TCP Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let poll = Poll::new()?;
    recording::add(LISTENER, "serversocket", serversocket.as_raw_fd(), None);
    poll.registry().register(&mut serversocket, LISTENER, Interest::READABLE)?;
    recording::register(LISTENER, true, false);
    let pipe = signals.as_fd().as_raw_fd();
    recording::add(CTRL_C, "signals", pipe, None);
    poll.registry().register(&mut SourceFd(&pipe), CTRL_C, Interest::READABLE)?;
    recording::register(CTRL_C, true, false);
    let mut server = Server { poll, serversocket, clients: HashMap::new(), next: Token(2) };
    while server.turn()? {}
    println!("Shutting down");
    Ok(())
}

impl Server {
    /// Returns `false` after Ctrl+C.
    fn turn(&mut self) -> io::Result<bool> {
        let mut events = Events::with_capacity(1024);
        recording::wait(0, None);
        match self.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        recording::turn(events.iter().count());
        for event in &events {
            recording::event(event.token(), event.is_readable(), event.is_writable());
            match event.token() {
                LISTENER => {
                    let _hook = recording::hook(LISTENER, "accept", Why::Event);
                    self.accept()?;
                }
                CTRL_C => return Ok(false),
                token => self.serve(token)?,
            }
        }
        Ok(true)
    }

    /// Accepts all waiting connections: the kernel does not report the remaining ones again.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.serversocket.accept() {
                Ok((mut socket, address)) => {
                    debug!("New client: {address}");
                    recording::add(self.next, "Client", socket.as_raw_fd(), Some(address));
                    let both = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().register(&mut socket, self.next, both)?;
                    recording::register(self.next, true, true);
                    self.clients.insert(self.next, Client { socket, address, message: Vec::new() });
                    self.next.0 += 1;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // No free descriptors: accepting is tried again when a client leaves.
                Err(error) => {
                    error!("accepting pauses: {error}");
                    return Ok(());
                }
            }
        }
    }

    fn serve(&mut self, token: Token) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(&token) else { return Ok(()) };
        match client.echo(token) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Ok(()) | Err(_) => {
                debug!("Bye-bye: {}", client.address);
                recording::close(token, client.message.len());
                self.clients.remove(&token);
                self.accept()
            }
        }
    }
}

impl Client {
    /// Sends and reads in turn, until the end of input or until one of the two would block.
    fn echo(&mut self, token: Token) -> io::Result<()> {
        let _hook = recording::hook(token, "echo", Why::Event);
        loop {
            while !self.message.is_empty() {
                let sent = self.socket.write(&self.message);
                let sent = recording::write(token, self.message.len(), sent)?;
                debug!("Send: {} to {}", Repr(&self.message[..sent]), self.address);
                self.message.drain(..sent);
            }
            let mut buffer = [0; 1024];
            let message = recording::read(token, seed::recv(&mut self.socket, &mut buffer))?;
            debug!("Recv: {} from {}", Repr(message), self.address);
            if message.is_empty() {
                return Ok(());
            }
            self.message.extend_from_slice(message);
        }
    }
}
