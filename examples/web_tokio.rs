//! - New here: the page on a runtime: `sleep(0.3).await` lets other tasks use the thread meanwhile.
//! - Try it: `cargo run --example web_tokio`, then `ab -c 100 -n 1000 http://127.0.0.1:9090/`.
//! - What it costs: a task of a few hundred bytes, and its timer, for each waiting client.
//! - Break it: write `std::thread::sleep` for `tokio::time::sleep`: it compiles, and is the first rung again.
//!
//! The lab's `asyncio` server. `web_futures` is the same on our own loop.

#[path = "shared/seed.rs"]
mod seed;

use std::io;
use std::net::TcpListener as StdListener;
use std::process::ExitCode;
use std::time::Duration;

use seed::WebArgs;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

fn main() -> ExitCode {
    seed::main(serve)
}

#[tokio::main(flavor = "current_thread")]
async fn serve(args: WebArgs) -> io::Result<()> {
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_nonblocking(true)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(args.backlog.into())?;
    let serversocket = TcpListener::from_std(StdListener::from(serversocket))?;

    seed::on_ctrl_c("Shutting down")?;
    println!("Serving on {}", seed::Pair(serversocket.local_addr()?));
    loop {
        match serversocket.accept().await {
            Ok((clientsocket, _)) => {
                tokio::spawn(client_handler(clientsocket, Duration::from_millis(args.db)));
            }
            // Out of descriptors, for example: tried again when some may be free.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn client_handler(mut clientsocket: TcpStream, database: Duration) -> io::Result<()> {
    let _count = clientsocket.read(&mut [0; 1024]).await?;
    sleep(database).await;
    clientsocket.write_all(seed::PAGE).await
}
