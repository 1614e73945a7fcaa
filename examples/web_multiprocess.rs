//! - New here: the page of `web_singlethread`, served by one process per core.
//! - Try it: `cargo run --example web_multiprocess`, then `ab -c 8 -n 40 http://127.0.0.1:9090/`.
//! - What it costs: as in the pool, m/0.3 requests a second for m processes, and five times a thread's memory.
//! - Break it: as in the pool: 100 users at once wait for a few processes.

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

use argh::FromArgs;
use seed::KeyboardInterrupt;
use socket2::{Domain, Socket, Type};
use stheno::sys::process::{self, Forked};

/// A web server with a process for every core.
#[derive(FromArgs)]
struct Args {
    /// address or name to listen on (default localhost)
    #[argh(option, default = "\"localhost\".into()")]
    host: String,

    /// port to listen on (default 9090; 0 = any free one)
    #[argh(option, default = "9090")]
    port: u16,

    /// processes that serve (default: one for each core)
    #[argh(option)]
    processes: Option<NonZeroUsize>,

    /// milliseconds that the database takes (default 300)
    #[argh(option, default = "300", arg_name = "ms")]
    db: u64,

    /// connections that may wait to be accepted (default 128)
    #[argh(option, default = "128")]
    backlog: u16,
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
    let processes = args.processes.map_or_else(process::cores, NonZeroUsize::get);
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
