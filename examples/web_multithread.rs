//! - New here: the page of `web_singlethread`, with a thread for each client.
//! - Try it: `cargo run --example web_multithread`, then `ab -c 100 -n 1000 http://127.0.0.1:9090/`.
//! - What it costs: a thread for each request; the mean response time is now the database's 0.3 s.
//! - Break it: `scripts/loop web_multithread+join`: the thread is joined at once.
//!
//! The lab's `web_multithread`.

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
        let (clientsocket, client_address) = serversocket.accept()?;
        let database = Duration::from_millis(args.db);
        let thread = thread::Builder::new().spawn(move || client_handler(clientsocket, database));
        if let Err(error) = thread {
            eprintln!("can't start new thread: {error}; {client_address} is turned away");
        }
    }
}

fn client_handler(mut clientsocket: TcpStream, database: Duration) -> io::Result<()> {
    seed::recv(&mut clientsocket, &mut [0; 1024])?;
    thread::sleep(database);
    clientsocket.write_all(seed::PAGE)
}
