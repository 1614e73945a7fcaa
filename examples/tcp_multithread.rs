//! - New here: a thread for each client, so that no client waits for another.
//! - Try it: `cargo run --example tcp_multithread`, and `nc localhost 9090` in as many terminals as you like.
//! - What it costs: a thread per client: 2 MiB of addresses, ten KiB of memory, a switch for each read.
//! - Break it: `scripts/loop tcp_multithread+join`: the thread is joined at once.
//!
//! The lab's `tcp_multithread`. Python's threads take turns at one lock (the GIL); these run at the same time,
//! one on each core.

#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use log::{debug, error};
use seed::{Format, Repr};
use socket2::{Domain, Socket, Type};

seed::options! {
    /// An echo server with a thread for every client.
    struct Args {
        /// address or name to listen on
        host: String = "localhost",
        /// port to listen on; 0 = any free one
        port: u16 = 9090,
        /// seconds that a client may be silent
        timeout: NonZeroU64 = 10,
    }
}

fn main() -> ExitCode {
    seed::main(serve)
}

fn serve(args: Args) -> io::Result<()> {
    seed::basic_config(&Format::Threads);
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(128)?;
    let serversocket = TcpListener::from(serversocket);

    seed::on_ctrl_c("Shutting down")?;
    println!("Starting TCP Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let mut number = 0;
    loop {
        let (clientsocket, client_address) = serversocket.accept()?;
        debug!("New client: {client_address}");
        number += 1;
        let thread = thread::Builder::new().name(format!("Thread-{number}")).spawn(move || {
            // An error of one client ends its own thread only.
            let _ = client_handler(clientsocket, Duration::from_secs(args.timeout.get()));
            debug!("Bye-bye: {client_address}");
        });
        // The handle is dropped, so the thread is detached ("daemon" in Python).
        if let Err(error) = thread {
            error!("can't start new thread: {error}; {client_address} is turned away");
        }
    }
}

/// Sends everything back, until the client closes or is silent for `timeout`.
fn client_handler(mut clientsocket: TcpStream, timeout: Duration) -> io::Result<()> {
    clientsocket.set_read_timeout(Some(timeout))?;
    clientsocket.set_write_timeout(Some(timeout))?;
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
