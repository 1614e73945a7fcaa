//! - New here: the page of `web_multithread`, with a fixed number of threads.
//! - Try it: `cargo run --example web_threadpool`, then `ab -c 10 -n 40 http://127.0.0.1:9090/`.
//! - What it costs: m threads serve at most m/0.3 requests a second: 33 with 10 threads.
//! - Break it: `scripts/loop web_threadpool+one_accepts`: a thread holds a lock until it has answered.

#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use seed::KeyboardInterrupt;
use socket2::{Domain, Socket, Type};

seed::options! {
    /// A web server with a pool of threads.
    struct Args {
        /// address or name to listen on
        host: String = "localhost",
        /// port to listen on; 0 = any free one
        port: u16 = 9090,
        /// threads of the pool
        threads: NonZeroUsize = 10,
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
    let serversocket = Arc::new(serversocket);
    for number in 1..=args.threads.get() {
        let serversocket = Arc::clone(&serversocket);
        let database = Duration::from_millis(args.db);
        let thread = thread::Builder::new().name(format!("Thread-{number}"));
        thread.spawn(move || worker_thread(&serversocket, database))?;
    }
    interrupt.wait();
    // The threads end with the program; each of them has at most 0.3 s of work left.
    println!("Shutting down...");
    Ok(())
}

fn worker_thread(serversocket: &TcpListener, database: Duration) {
    loop {
        match serversocket.accept() {
            Ok((clientsocket, _)) => drop(answer(clientsocket, database)),
            // `accept` failed, for example for lack of descriptors. An immediate retry would only keep the core
            // busy.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn answer(mut clientsocket: TcpStream, database: Duration) -> io::Result<()> {
    seed::recv(&mut clientsocket, &mut [0; 1024])?;
    thread::sleep(database);
    clientsocket.write_all(seed::PAGE)
}
