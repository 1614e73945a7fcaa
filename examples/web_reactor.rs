//! - New here: the page on the reactor: the wait is a *deadline* of the channel; `handle_timeout` ends it.
//! - Try it: `cargo run --example web_reactor`, then `ab -c 100 -n 1000 http://127.0.0.1:9090/`.
//! - What it costs: an object of a few dozen bytes per waiting client; no thread, no stack.
//! - Break it: `scripts/loop web_reactor+sleeps`: the hook sleeps, and all clients wait.

#[path = "shared/acceptor.rs"]
mod acceptor;
#[path = "shared/ctrl_c.rs"]
mod ctrl_c;
#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::time::Duration;

use acceptor::Acceptor;
use ctrl_c::CtrlC;
use mio::event::Source;
use seed::WebArgs;
use stheno::chat::OutQueue;
use stheno::clock::Instant;
use stheno::reactor::{Context, Dispatcher, Reactor, Stream, transmit};
use stheno::sys::socket;

fn main() -> ExitCode {
    recording::main(serve)
}

fn serve(args: WebArgs) -> io::Result<()> {
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = socket::listen(address, args.backlog.into(), false)?;
    let mut reactor = Reactor::with_probe(recording::probe("reactor", include_str!("web_reactor.rs"))?)?;
    reactor.add(CtrlC::new()?);
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let database = Duration::from_millis(args.db);
    reactor.add(Acceptor::new(serversocket, move |cx, socket, _| {
        cx.adopt(Client { socket, database, state: State::Reading, output: OutQueue::new() });
    }));
    reactor.run()
}

/// The state of a client, named by what it waits for: `Reading ──► Asking ──► Writing ──► closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// The database, whose result comes at this moment.
    Asking(Instant),
    Writing,
}

#[derive(Debug)]
struct Client {
    socket: Stream,
    database: Duration,
    state: State,
    output: OutQueue,
}

impl Dispatcher for Client {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn state(&self) -> &'static str {
        match self.state {
            State::Reading => "Reading",
            State::Asking(_) => "Asking",
            State::Writing => "Writing",
        }
    }

    fn readable(&self) -> bool {
        self.state == State::Reading
    }

    fn writable(&self) -> bool {
        self.state == State::Writing
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Asking(until) => Some(until),
            State::Reading | State::Writing => None,
        }
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if cx.recv(&mut self.socket)?.is_some() {
            self.state = State::Asking(cx.now().monotonic + self.database);
        }
        Ok(())
    }

    fn handle_timeout(&mut self, _cx: &mut Context<'_>) -> io::Result<()> {
        self.output.push(seed::PAGE);
        self.state = State::Writing;
        Ok(())
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if transmit(cx, &self.socket, &mut self.output)?.drained {
            cx.close();
        }
        Ok(())
    }
}
