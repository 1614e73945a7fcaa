//! - New here: fork. Every process inherits the listener from its parent, and accepts on it.
//! - Try it: `cargo run --example tcp_multiprocess`, and one `nc localhost 9090` more than there are cores.
//! - What it costs: a process per core, 50 KiB each; and at most as many clients as processes.
//! - Break it: `scripts/loop tcp_multiprocess+abandoned`: the parent ends without its children.
//!
//! The lab's server with processes. The port is bound once, before the fork: a child that binds again fails.
//! Respawning and orphans are broken here on purpose; `stheno::master` solves both.

#[path = "shared/processes.rs"]
mod processes;
#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::process::ExitCode;

use log::debug;
use seed::{Format, KeyboardInterrupt, Repr};
use socket2::{Domain, Socket, Type};
use stheno::sys::process::{self, Forked};

seed::options! {
    /// An echo server with a process for every core.
    struct Args {
        /// address or name to listen on
        host: String = "localhost",
        /// port to listen on; 0 = any free one
        port: u16 = 9090,
        /// processes that serve
        processes: NonZeroUsize = process::cores(),
    }
}

fn main() -> ExitCode {
    seed::main(serve)
}

fn serve(args: Args) -> io::Result<()> {
    seed::basic_config(&Format::Processes);
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(128)?;
    let serversocket = TcpListener::from(serversocket);

    let mut interrupt = KeyboardInterrupt::expect()?;
    println!("Starting TCP Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let processes = args.processes.get();
    debug!("Number of processes: {processes}");
    let mut children = Vec::new();
    for number in 1..=processes {
        match processes::fork(number) {
            Ok(Forked::Child) => return worker_process(&serversocket),
            Ok(Forked::Parent(child)) => children.push(child),
            Err(error) => {
                processes::terminate(&children);
                return Err(error);
            }
        }
    }
    interrupt.wait();
    println!("Shutting down...");
    processes::terminate(&children);
    Ok(())
}

fn worker_process(serversocket: &TcpListener) -> io::Result<()> {
    loop {
        let (clientsocket, client_address) = serversocket.accept()?;
        debug!("New client: {client_address}");
        let _ = echo(clientsocket);
        debug!("Bye-bye: {client_address}");
    }
}

fn echo(mut clientsocket: TcpStream) -> io::Result<()> {
    let address = clientsocket.peer_addr()?;
    let mut buffer = [0; 1024];
    loop {
        let message = seed::recv(&mut clientsocket, &mut buffer)?;
        debug!("Recv: {} from {address}", Repr(message));
        if message.is_empty() {
            return Ok(());
        }
        clientsocket.write_all(message)?;
        debug!("Send: {} to {address}", Repr(message));
    }
}
