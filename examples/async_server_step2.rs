//! - New here: the head of a request ends with an empty line: `\r\n\r\n` is the terminator.
//! - Try it: `cargo run --example async_server_step2`, then `curl -m 3 127.0.0.1:9000`: (28) timed out.
//! - What it costs: input is stored until the terminator comes; here without a limit on size or time.
//! - Break it: it is broken: `parse_request` is empty, so there is no response. `async_server_step3` has it.
//!
//! The lab's second step.

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
use seed::{Format, LabArgs, Repr};
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
        Reactor::with_probe(recording::probe("reactor", include_str!("async_server_step2.rs"))?)?;
    reactor.add(CtrlC::new()?);
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
            let chat = Chat::new(Terminator::bytes(b"\r\n\r\n"));
            cx.adopt(ChatChannel::new(socket, chat, AsyncHTTPRequestHandler::default()));
        })
    }
}

/// Handles the requests of one client.
#[derive(Debug, Default)]
struct AsyncHTTPRequestHandler {
    incoming: Vec<u8>,
}

impl Handler for AsyncHTTPRequestHandler {
    fn collect_incoming_data(&mut self, _: &mut Chat, data: &[u8]) {
        debug!("Incoming data: {}", Repr(data));
        self.incoming.extend_from_slice(data);
    }

    fn found_terminator(&mut self, chat: &mut Chat) {
        self.parse_request(chat);
    }
}

impl AsyncHTTPRequestHandler {
    /// Empty here; `async_server_step3` has it.
    fn parse_request(&mut self, _: &mut Chat) {}
}
