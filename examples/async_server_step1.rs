//! - New here: two channels: one accepts, one serves a client; the hooks of the second are not written.
//! - Try it: `cargo run --example async_server_step1 -- --loop`, then `curl 127.0.0.1:9000`: (52) Empty reply.
//! - What it costs: nothing yet. An error in a hook costs its own channel; the loop goes on.
//! - Break it: it is broken: write the two hooks. That is `async_server_step2`.
//!
//! The lab's first step: asyncore logs an "uncaptured python exception" in one line, and closes the channel. Our
//! reactor does the same.

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
use seed::{Format, LabArgs};
use stheno::chat::{Chat, Handler, Terminator};
use stheno::reactor::{AcceptMode, ChatChannel, Context, Dispatcher, Listener, Reactor};
use stheno::sys::socket;

fn main() -> ExitCode {
    recording::main(serve)
}

fn serve(args: LabArgs) -> io::Result<()> {
    seed::basic_config(&Format::Server);
    let serversocket = socket::listen(seed::resolve(&args.host, args.port)?, 5, false)?;
    let mut reactor =
        Reactor::with_probe(recording::probe("reactor", include_str!("async_server_step1.rs"))?)?;
    reactor.add(CtrlC::new()?);
    // The reactor has one line for it, in place of Rust's three.
    std::panic::set_hook(Box::new(|_| ()));
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    reactor.add(AsyncHTTPServer { listener: Listener::new(serversocket, AcceptMode::Shared) });
    reactor.run()
}

#[derive(Debug)]
struct AsyncHTTPServer {
    listener: Listener,
}

impl Dispatcher for AsyncHTTPServer {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.listener.as_fd())
    }

    /// asyncore calls `handle_accepted` for each connection.
    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.listener.accept(cx, &(), |cx, socket, address| {
            debug!("Incoming connection from {}", address.pair());
            cx.adopt(ChatChannel::new(socket, Chat::new(Terminator::None), AsyncHTTPRequestHandler));
        })
    }
}

/// Handles the requests of one client.
#[derive(Debug)]
struct AsyncHTTPRequestHandler;

impl Handler for AsyncHTTPRequestHandler {
    fn collect_incoming_data(&mut self, _: &mut Chat, _: &[u8]) {
        unimplemented!("must be implemented in subclass");
    }

    fn found_terminator(&mut self, _: &mut Chat) {
        unimplemented!("must be implemented in subclass");
    }
}
