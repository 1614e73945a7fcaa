//! - New here: messages, not bytes: a *terminator* ends one, a *producer* makes one: `asynchat.async_chat`.
//! - Try it: `cargo run --example tcp_chat -- --loop`, then `printf 'one\ntwo\nhalf' | nc -N localhost 9090`.
//! - What it costs: a line is stored until it is complete, so its length must be limited.
//! - Break it: `scripts/loop tcp_chat+no_max_line`: a line without an end fills the memory.
//!
//! It echoes lines. A read rarely ends where a line ends; a program that looks for the end of a line within one
//! read fails when the network splits the line.

#[path = "shared/acceptor.rs"]
mod acceptor;
#[path = "shared/ctrl_c.rs"]
mod ctrl_c;
#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::io;
use std::process::ExitCode;

use acceptor::Acceptor;
use ctrl_c::CtrlC;
use log::debug;
use seed::{Format, Repr, TcpArgs};
use stheno::chat::{Chat, Handler, SimpleProducer, Terminator};
use stheno::reactor::{ChatChannel, Peer, Reactor};
use stheno::sys::socket;

/// The most bytes that a line may have. A longer line closes the connection.
const MAX_LINE: usize = 64 * 1024;

fn main() -> ExitCode {
    recording::main(serve)
}

fn serve(args: TcpArgs) -> io::Result<()> {
    seed::basic_config(&Format::Processes);
    let serversocket = socket::listen(seed::resolve(&args.host, args.port)?, 128, false)?;
    let mut reactor = Reactor::with_probe(recording::probe("reactor", include_str!("tcp_chat.rs"))?)?;
    reactor.add(CtrlC::new()?);
    println!("Starting TCP Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    reactor.add(Acceptor::new(serversocket, |cx, socket, address| {
        debug!("New client: {address}");
        let chat = Chat::new(Terminator::bytes(b"\n"));
        cx.adopt(ChatChannel::new(socket, chat, Echo { address, line: Vec::new() }));
    }));
    reactor.run()
}

/// One client. The channel reads and sends; this type says what a line means.
#[derive(Debug)]
struct Echo {
    address: Peer,
    line: Vec<u8>,
}

impl Handler for Echo {
    /// Receives a part of a line.
    fn collect_incoming_data(&mut self, chat: &mut Chat, data: &[u8]) {
        self.line.extend_from_slice(data);
        if self.line.len() > MAX_LINE {
            self.line.clear();
            chat.set_terminator(Terminator::None);
            chat.close_when_done();
        }
    }

    /// Receives the end of a line.
    fn found_terminator(&mut self, chat: &mut Chat) {
        let mut line = std::mem::take(&mut self.line);
        line.push(b'\n');
        debug!("Recv: {} from {}", Repr(&line), self.address);
        // The line is in the queue; the channel sends it in pieces of 512 bytes.
        debug!("Send: {} to {}", Repr(&line), self.address);
        chat.push_with_producer(SimpleProducer::new(line));
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        debug!("Bye-bye: {}", self.address);
    }
}
