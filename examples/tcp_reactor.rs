//! - New here: the loop is a library; each client's state is an object with hooks, as in `asyncore.dispatcher`.
//! - Try it: `cargo run --example tcp_reactor -- --loop`, and `nc localhost 9090` in several terminals.
//! - What it costs: a small object per client; busy clients share each turn with the others.
//! - Break it: `scripts/loop tcp_reactor+always_writable`: the loop never waits, and keeps a core busy.
//!
//! The contract of `asyncore`: say what you wait for (`readable`, `writable`), and do a little when it is
//! there.

#[path = "shared/ctrl_c.rs"]
mod ctrl_c;
#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use ctrl_c::CtrlC;
use log::debug;
use mio::event::Source;
use seed::{Format, Repr, TcpArgs};
use stheno::clock::{Instant, Now};
use stheno::reactor::{AcceptMode, Context, Dispatcher, Listener, Peer, Reactor, Stream};
use stheno::sys::socket;

fn main() -> ExitCode {
    recording::main(serve)
}

fn serve(args: TcpArgs) -> io::Result<()> {
    seed::basic_config(&Format::Processes);
    let serversocket = socket::listen(seed::resolve(&args.host, args.port)?, 128, false)?;
    let mut reactor = Reactor::with_probe(recording::probe("reactor", include_str!("tcp_reactor.rs"))?)?;
    reactor.add(CtrlC::new()?);
    println!("Starting TCP Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    reactor.add(EchoServer { listener: Listener::new(serversocket, AcceptMode::Shared) });
    reactor.run()
}

/// The listener. Each connection becomes a channel of its own.
#[derive(Debug)]
struct EchoServer {
    listener: Listener,
}

impl Dispatcher for EchoServer {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.listener.as_fd())
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.listener.accept(cx, &(), |cx, socket, address| {
            debug!("New client: {address}");
            cx.adopt(Echo { socket, address, message: Vec::new() });
        })
    }

    /// When accepting continues after a pause for lack of descriptors.
    fn deadline(&self) -> Option<Instant> {
        self.listener.deadline()
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.listener.resume(cx);
        Ok(())
    }
}

/// One client.
#[derive(Debug)]
struct Echo {
    socket: Stream,
    address: Peer,
    /// Bytes that were read and have yet to be sent back.
    message: Vec<u8>,
}

impl Dispatcher for Echo {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    /// Back-pressure: nothing is read from a client that does not take its output.
    fn readable(&self) -> bool {
        self.message.is_empty()
    }

    fn writable(&self) -> bool {
        !self.message.is_empty()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut is_over = false;
        if let Some(message) = cx.recv(&mut self.socket)? {
            debug!("Recv: {} from {}", Repr(message), self.address);
            is_over = message.is_empty();
            self.message.extend_from_slice(message);
        }
        if is_over {
            cx.close();
        }
        Ok(())
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(sent) = cx.send(&self.socket, &self.message, false)? {
            debug!("Send: {} to {}", Repr(&self.message[..sent]), self.address);
            self.message.drain(..sent);
        }
        Ok(())
    }

    fn handle_close(&mut self, _now: Now) {
        debug!("Bye-bye: {}", self.address);
    }
}
