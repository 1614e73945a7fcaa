//! - New here: the page on a runtime: `sleep(0.3).await` lets other tasks use the thread meanwhile.
//! - Try it: `cargo run --example web_tokio`, then `ab -c 100 -n 1000 http://127.0.0.1:9090/`.
//! - What it costs: a task of a few hundred bytes, and its timer, for each waiting client.
//! - Break it: `scripts/loop web_tokio+sleeps`: `thread::sleep` compiles as well.
//!
//! The lab's `asyncio` server. `web_futures` is the same on our own loop.

#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::io;
use std::net::TcpListener as StdListener;
use std::process::ExitCode;
use std::time::Duration;

use seed::WebArgs;
use socket2::{Domain, Socket, Type};
use stheno::recording::Keys;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::sleep;

fn main() -> ExitCode {
    recording::main(run)
}

/// As in `tcp_tokio`.
fn run(args: WebArgs) -> io::Result<()> {
    recording::start("tokio", Keys::Slab, "read write hook", include_str!("web_tokio.rs"))?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.on_thread_park(|| recording::wait(0, None)).on_thread_unpark(|| recording::turn(0));
    runtime.enable_all().build()?.block_on(serve(args))
}

async fn serve(args: WebArgs) -> io::Result<()> {
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_nonblocking(true)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(args.backlog.into())?;
    let serversocket = TcpListener::from_std(StdListener::from(serversocket))?;

    let (ctrl_c, is_over) = oneshot::channel::<()>();
    seed::after_ctrl_c(move || drop(ctrl_c))?;
    println!("Serving on {}", seed::Pair(serversocket.local_addr()?));
    tokio::spawn(recording::task(None, accept(serversocket, Duration::from_millis(args.db))));
    // Nothing is sent: that the other half of the channel is gone is the message.
    let _ = is_over.await;
    println!("Shutting down");
    Ok(())
}

async fn accept(serversocket: TcpListener, database: Duration) {
    loop {
        match serversocket.accept().await {
            Ok((clientsocket, address)) => {
                tokio::spawn(recording::task(Some(address), client_handler(clientsocket, database)));
            }
            // Out of descriptors, for example: tried again when some may be free.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn client_handler(mut clientsocket: TcpStream, database: Duration) -> io::Result<()> {
    recording::read_in_task(clientsocket.read(&mut [0; 1024]).await)?;
    sleep(database).await;
    let sent = clientsocket.write_all(seed::PAGE).await;
    recording::write_in_task(sent.map(|()| seed::PAGE.len())).map(drop)
}
