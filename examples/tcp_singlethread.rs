//! - New here: socket, bind, listen, accept, recv, send, close; a call *blocks* until it has a result.
//! - Try it: `cargo run --example tcp_singlethread`, and in another terminal `nc localhost 9090`; Ctrl+D ends it.
//! - What it costs: one thread only; but it serves one client at a time, for as long as that client likes.
//! - Break it: `scripts/loop tcp_singlethread+no_timeout`: a silent client keeps the server for itself.
//!
//! The lab's `tcp_singlethread`.

#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::Duration;

use seed::Repr;
use socket2::{Domain, Socket, Type};

seed::options! {
    /// An echo server with one thread: one client at a time.
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
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(5)?;
    let serversocket = TcpListener::from(serversocket);

    seed::on_ctrl_c("Shutting down")?;
    println!("Starting Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    loop {
        let (clientsocket, client_address) = serversocket.accept()?;
        println!("New client {client_address}");
        // An error of one client must not end the service for the others.
        let _ = echo(clientsocket, Duration::from_secs(args.timeout.get()));
        println!("Bye-bye: {client_address}");
    }
}

/// Sends everything back, until the client closes or is silent for `timeout`.
fn echo(mut clientsocket: TcpStream, timeout: Duration) -> io::Result<()> {
    clientsocket.set_read_timeout(Some(timeout))?;
    clientsocket.set_write_timeout(Some(timeout))?;
    let mut buffer = [0; 1024];
    loop {
        let data = seed::recv(&mut clientsocket, &mut buffer)?;
        println!("Recv: {}", Repr(data));
        if data.is_empty() {
            return Ok(());
        }
        // A send may take fewer bytes than it is given. `write_all` loops over the rest; the lab's own loop
        // never ended.
        clientsocket.write_all(data)?;
        println!("Send: {}", Repr(data));
    }
}
