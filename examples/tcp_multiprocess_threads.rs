//! - New here: processes and threads: cores × 10 threads, each of which accepts.
//! - Try it: `cargo run --example tcp_multiprocess_threads -- --processes 2 --threads 2`, and four clients.
//! - What it costs: less than one process per client; but a process that crashes takes ten clients with it.
//! - Break it: `scripts/loop tcp_multiprocess_threads+exits`: a client's error ends the process.
//!
//! The lab's server with processes and threads.

#[path = "shared/processes.rs"]
mod processes;
#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use log::debug;
use seed::{Format, KeyboardInterrupt, Repr};
use socket2::{Domain, Socket, Type};
use stheno::sys::process::{self, Forked};

seed::options! {
    /// An echo server with a process for every core, and threads in each.
    struct Args {
        /// address or name to listen on
        host: String = "localhost",
        /// port to listen on; 0 = any free one
        port: u16 = 9090,
        /// processes that serve
        processes: NonZeroUsize = process::cores(),
        /// threads of each process
        threads: NonZeroUsize = 10,
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
    serversocket.listen(5)?;
    let serversocket = TcpListener::from(serversocket);

    let mut interrupt = KeyboardInterrupt::expect()?;
    println!("Starting TCP Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let processes = args.processes.get();
    debug!("Number of processes: {processes}");
    let mut children = Vec::new();
    for number in 1..=processes {
        match processes::fork(number) {
            Ok(Forked::Child) => return worker_process(serversocket, args.threads.get()),
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

/// Starts the threads after the fork, because `fork` copies only the calling thread.
fn worker_process(serversocket: TcpListener, threads: usize) -> io::Result<()> {
    let serversocket = Arc::new(serversocket);
    for number in 1..=threads {
        let serversocket = Arc::clone(&serversocket);
        let thread = thread::Builder::new().name(format!("Thread-{number}"));
        thread.spawn(move || worker_thread(&serversocket))?;
    }
    loop {
        thread::park();
    }
}

fn worker_thread(serversocket: &TcpListener) {
    loop {
        let Ok((clientsocket, client_address)) = serversocket.accept() else {
            // `accept` failed, for example for lack of descriptors. An immediate retry would only keep the core
            // busy.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        debug!("New client {client_address}");
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
