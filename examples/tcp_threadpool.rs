//! - New here: a fixed number of threads, which all accept; a client waits in the queue while all are busy.
//! - Try it: `cargo run --example tcp_threadpool -- --threads 2`, and three times `nc localhost 9090`.
//! - What it costs: a fixed number of threads under any load; and an event that tells them when to stop.
//! - Break it: `scripts/loop tcp_threadpool+dies_on_reset`: an error ends a thread for ever.
//!
//! The lab's thread pool, in which a thread blocked in `accept` never sees the event; `shared/closable.rs` has a
//! listener for which it does.

#[path = "shared/closable.rs"]
mod closable;
#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use closable::ClosableListener;
use log::debug;
use seed::{Format, KeyboardInterrupt, Repr};
use socket2::{Domain, Socket, Type};

seed::options! {
    /// An echo server with a pool of threads.
    struct Args {
        /// address or name to listen on
        host: String = "localhost",
        /// port to listen on; 0 = any free one
        port: u16 = 9090,
        /// threads of the pool
        threads: NonZeroUsize = 10,
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
    let serversocket = Arc::new(ClosableListener::new(serversocket));

    let mut interrupt = KeyboardInterrupt::expect()?;
    println!("Starting TCP Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let mut threads = Vec::new();
    for number in 1..=args.threads.get() {
        let serversocket = Arc::clone(&serversocket);
        let thread = thread::Builder::new().name(format!("Thread-{number}"));
        threads.push(thread.spawn(move || worker_thread(&serversocket))?);
    }
    interrupt.wait();
    println!("Shutting down...");
    serversocket.close(&threads);
    Ok(())
}

fn worker_thread(serversocket: &ClosableListener) {
    while let Some((clientsocket, client_address)) = serversocket.accept() {
        debug!("New client: {client_address}");
        // An error of one client must not end the thread, which serves the others.
        let _ = echo(&clientsocket);
        debug!("Bye-bye: {client_address}");
    }
    debug!("Shutting down thread");
}

fn echo(mut clientsocket: &TcpStream) -> io::Result<()> {
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
