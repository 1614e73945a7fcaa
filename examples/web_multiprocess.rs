//! - New here: the page of `web_singlethread`, served by one process per core.
//! - Try it: `cargo run --example web_multiprocess`, then `ab -c 8 -n 40 http://127.0.0.1:9090/`.
//! - What it costs: as in the pool, m/0.3 requests a second for m processes, and five times a thread's memory.
//! - Break it: `scripts/loop web_multiprocess+dies_after_one`: a process that ends is not replaced.

#[path = "shared/processes.rs"]
mod processes;
#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use seed::KeyboardInterrupt;
use socket2::{Domain, Socket, Type};
use stheno::sys::process::{self, Forked};

seed::options! {
    /// A web server with a process for every core.
    struct Args {
        /// address or name to listen on
        host: String = "localhost",
        /// port to listen on; 0 = any free one
        port: u16 = 9090,
        /// processes that serve
        processes: NonZeroUsize = process::cores(),
        /// milliseconds that the database takes
        db: u64 = 300,
        /// connections that may wait to be accepted
        backlog: u16 = 128,
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
    serversocket.listen(args.backlog.into())?;
    let serversocket = TcpListener::from(serversocket);

    let mut interrupt = KeyboardInterrupt::expect()?;
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let processes = args.processes.get();
    let mut children = Vec::new();
    for number in 1..=processes {
        match processes::fork(number) {
            Ok(Forked::Child) => return worker_process(&serversocket, Duration::from_millis(args.db)),
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

fn worker_process(serversocket: &TcpListener, database: Duration) -> io::Result<()> {
    loop {
        let (clientsocket, _) = serversocket.accept()?;
        // A client that closes before its response is routine.
        let _ = answer(clientsocket, database);
    }
}

fn answer(mut clientsocket: TcpStream, database: Duration) -> io::Result<()> {
    seed::recv(&mut clientsocket, &mut [0; 1024])?;
    thread::sleep(database);
    clientsocket.write_all(seed::PAGE)
}
