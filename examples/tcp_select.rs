//! - New here: one thread for all: `select` returns the ready descriptors, and no other call waits.
//! - Try it: `cargo run --example tcp_select -- --loop`, and `nc localhost 9090` in several terminals.
//! - What it costs: each call looks at all descriptors, idle ones too; tables hold each client's state.
//! - Break it: `scripts/loop tcp_select+accepts_once`: the accept handler does not add itself again.
//!
//! The lab's `select` server. A thread's stack remembered what its client waits for; here tables do. A waiter
//! is called once (it is an `FnOnce`) and adds the next one itself: read, then write, then read again.

#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::process::ExitCode;
use std::time::Duration;

use log::{debug, error};
use seed::{Format, Repr, TcpArgs};
use socket2::{Domain, Socket, Type};
use stheno::recording::{Keys, Why};
use stheno::sys::select::{self, select};
use stheno::sys::signal::{Signal, Signals};

/// Called when a descriptor is ready.
type Waiter = Box<dyn FnOnce(&mut Server)>;

struct Server {
    serversocket: TcpListener,
    signals: Signals,
    read_waiters: HashMap<RawFd, Waiter>,
    write_waiters: HashMap<RawFd, Waiter>,
    connections: HashMap<RawFd, (TcpStream, SocketAddr)>,
    is_over: bool,
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
    let serversocket = TcpListener::from(serversocket);

    let signals = Signals::install(&[Signal::Interrupt, Signal::Terminate])?;
    recording::start("select", Keys::Descriptor, "asked read write hook", include_str!("tcp_select.rs"))?;
    recording::add(serversocket.as_raw_fd(), "serversocket", serversocket.as_raw_fd(), None);
    recording::add(signals.as_fd().as_raw_fd(), "signals", signals.as_fd().as_raw_fd(), None);
    println!("Starting TCP Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let (read_waiters, write_waiters, connections) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut server =
        Server { serversocket, signals, read_waiters, write_waiters, connections, is_over: false };
    server.wait_to_accept();
    // Ctrl+C is one more descriptor: the read end of a pipe that the signal handler writes to.
    server.read_waiters.insert(server.signals.as_fd().as_raw_fd(), Box::new(|server| server.is_over = true));
    while !server.is_over {
        server.turn()?;
    }
    println!("Shutting down");
    Ok(())
}

impl Server {
    fn turn(&mut self) -> io::Result<()> {
        let (reading, writing) =
            (self.descriptors(&self.read_waiters), self.descriptors(&self.write_waiters));
        let timeout = Some(Duration::from_secs(60));
        recording::wait(reading.len() + writing.len(), timeout);
        let (rlist, wlist, _) = select(&reading, &writing, &[], timeout)?;
        recording::turn(rlist.len() + wlist.len());
        if rlist.is_empty() && wlist.is_empty() {
            self.wait_to_accept();
        }
        for fileno in rlist {
            recording::event(fileno, true, false);
            if let Some(handler) = self.read_waiters.remove(&fileno) {
                handler(self);
            }
        }
        for fileno in wlist {
            recording::event(fileno, false, true);
            if let Some(handler) = self.write_waiters.remove(&fileno) {
                handler(self);
            }
        }
        Ok(())
    }

    fn descriptors(&self, waiters: &HashMap<RawFd, Waiter>) -> Vec<BorrowedFd<'_>> {
        let others = [self.serversocket.as_fd(), self.signals.as_fd()];
        let all = self.connections.values().map(|(socket, _)| socket.as_fd()).chain(others);
        all.filter(|descriptor| waiters.contains_key(&descriptor.as_raw_fd())).collect()
    }

    fn wait_to_accept(&mut self) {
        self.read_waiters.insert(self.serversocket.as_raw_fd(), Box::new(Self::accept_handler));
    }

    fn wait_to_recv(&mut self, fileno: RawFd) {
        self.read_waiters.insert(fileno, Box::new(move |server| server.recv_handler(fileno)));
    }

    fn wait_to_send(&mut self, fileno: RawFd, message: Vec<u8>) {
        self.write_waiters.insert(fileno, Box::new(move |server| server.send_handler(fileno, &message)));
    }

    fn accept_handler(&mut self) {
        let _hook = recording::hook(self.serversocket.as_raw_fd(), "accept_handler", Why::Asked);
        match self.serversocket.accept() {
            Ok((clientsocket, client_address)) => self.welcome(clientsocket, client_address),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::ConnectionAborted].contains(&error.kind()) => {}
            // Out of descriptors: `select` would report "ready" at once again. Accepting waits until a client
            // leaves.
            Err(error) => return error!("accepting pauses: {error}"),
        }
        self.wait_to_accept();
    }

    fn welcome(&mut self, clientsocket: TcpStream, client_address: SocketAddr) {
        let allowed = select::check(clientsocket.as_fd()).and_then(|()| clientsocket.set_nonblocking(true));
        if let Err(error) = allowed {
            return error!("{error}: {client_address} is turned away");
        }
        debug!("New client: {client_address}");
        let fileno = clientsocket.as_raw_fd();
        recording::add(fileno, "client", fileno, Some(client_address));
        self.connections.insert(fileno, (clientsocket, client_address));
        self.wait_to_recv(fileno);
    }

    fn recv_handler(&mut self, fileno: RawFd) {
        let _hook = recording::hook(fileno, "recv_handler", Why::Asked);
        let Some((clientsocket, address)) = self.connections.get_mut(&fileno) else { return };
        match recording::read(fileno, seed::recv(clientsocket, &mut [0; 1024])) {
            // "Ready" is a hint: the input may be gone.
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_to_recv(fileno),
            Ok([]) | Err(_) => self.terminate(fileno),
            Ok(message) => {
                debug!("Recv: {} from {address}", Repr(message));
                let message = message.to_vec();
                self.wait_to_send(fileno, message);
            }
        }
    }

    fn send_handler(&mut self, fileno: RawFd, message: &[u8]) {
        let _hook = recording::hook(fileno, "send_handler", Why::Asked);
        let Some((clientsocket, address)) = self.connections.get_mut(&fileno) else { return };
        match recording::write(fileno, message.len(), clientsocket.write(message)) {
            Ok(sent) => {
                debug!("Send: {} to {address}", Repr(&message[..sent]));
                match &message[sent..] {
                    [] => self.wait_to_recv(fileno),
                    rest => self.wait_to_send(fileno, rest.to_vec()),
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.wait_to_send(fileno, message.to_vec())
            }
            // The lab's server ended here, with all its clients.
            Err(_) => self.terminate(fileno),
        }
    }

    /// Removes a client from every table, because the next client gets the same descriptor.
    fn terminate(&mut self, fileno: RawFd) {
        self.read_waiters.remove(&fileno);
        self.write_waiters.remove(&fileno);
        if let Some((_, address)) = self.connections.remove(&fileno) {
            debug!("Bye-Bye: {address}");
            recording::close(fileno, 0);
        }
        self.wait_to_accept();
    }
}
