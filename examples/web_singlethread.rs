//! - New here: one request, one response, close; the sleep takes the place of a database query.
//! - Try it: `cargo run --example web_singlethread`, then <http://localhost:9090/> in a browser.
//! - What it costs: 0.3 s per request. 100 users with 5 to 15 s between requests wait 20 s, in the kernel's queue.
//! - Break it: `scripts/loop web_singlethread+short_queue`: `listen(1)`: the kernel drops connections.
//!
//! The lab's `web_singlethread`. Why 20 s: with m servers, service time S, N users and think time Z the rate is
//! X = min(m/S, N/(Z+S)) and the wait N/X − Z. Here 1/0.3 = 3.3 requests a second, and 100/3.3 − 10 = 20 s.
//! Four parameters to vary: `--backlog`, `--db`, the number of users, and their think time.

#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use seed::WebArgs;
use socket2::{Domain, Socket, Type};

fn main() -> ExitCode {
    seed::main(serve)
}

fn serve(args: WebArgs) -> io::Result<()> {
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(args.backlog.into())?;
    let serversocket = TcpListener::from(serversocket);

    seed::on_ctrl_c("Shutting down")?;
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    loop {
        let (clientsocket, _) = serversocket.accept()?;
        // A client that closes before its response is routine.
        let _ = answer(clientsocket, Duration::from_millis(args.db));
    }
}

fn answer(mut clientsocket: TcpStream, database: Duration) -> io::Result<()> {
    seed::recv(&mut clientsocket, &mut [0; 1024])?;
    thread::sleep(database);
    clientsocket.write_all(seed::PAGE)
}
