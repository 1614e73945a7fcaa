//! - New here: the page of `web_multithread`, but its handler computes instead of waiting. Threads use all cores.
//! - Try it: `cargo run --example web_cpubound -r`, then `ab -c 1 -n 50 http://127.0.0.1:9090/`, then `-c 2`.
//! - What it costs: one core per running request. More threads than cores take turns, which gains nothing.
//! - Break it: `scripts/loop web_cpubound+join`: the thread is joined at once; one core computes.
//!
//! The lab says that Python's threads take turns at one lock, the GIL, so that they help only programs that
//! wait. There is no such lock here: `scripts/lab show parallel` runs this beside its twin,
//! `python/web_cpubound.py`.

#[path = "shared/seed.rs"]
mod seed;

use std::hint::black_box;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

use socket2::{Domain, Socket, Type};

seed::options! {
    /// A web server with one page, for which it counts primes.
    struct Args {
        /// address or name to listen on
        host: String = "localhost",
        /// port to listen on; 0 = any free one
        port: u16 = 9090,
        /// upper end of the range in which each request counts primes
        limit: u64 = 200_000,
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

    seed::on_ctrl_c("Shutting down")?;
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    loop {
        let (clientsocket, client_address) = serversocket.accept()?;
        let limit = args.limit;
        let thread = thread::Builder::new().spawn(move || client_handler(clientsocket, limit));
        if let Err(error) = thread {
            eprintln!("can't start new thread: {error}; {client_address} is turned away");
        }
    }
}

fn client_handler(mut clientsocket: TcpStream, limit: u64) -> io::Result<()> {
    seed::recv(&mut clientsocket, &mut [0; 1024])?;
    black_box(primes_below(black_box(limit)));
    clientsocket.write_all(seed::PAGE)
}

/// Counts the primes by trial division, which is slow on purpose.
fn primes_below(limit: u64) -> usize {
    (2..limit).filter(|number| (2..).take_while(|d| d * d <= *number).all(|d| number % d != 0)).count()
}
