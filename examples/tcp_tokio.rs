//! - New here: the loop is in a runtime; the code looks like code with threads, with `await` where it waits.
//! - Try it: `cargo run --example tcp_tokio -- --loop`, and `nc localhost 9090` in several terminals.
//! - What it costs: one task per client: its state, which the compiler lays out, and no stack.
//! - Break it: `scripts/loop tcp_tokio+sleeping_task`: a task that sleeps keeps the thread.
//!
//! The lab's `asyncio`, with the echo. `web_waker`, `web_executor` and `web_futures` show what is below it.

#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::process::ExitCode;
use std::time::Duration;

use log::{debug, error};
use seed::{Format, Repr, TcpArgs};
use socket2::{Domain, Socket, Type};
use stheno::recording::Keys;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

fn main() -> ExitCode {
    recording::main(run)
}

/// What `#[tokio::main(flavor = "current_thread")]` writes; the loop tells when it waits.
fn run(args: TcpArgs) -> io::Result<()> {
    recording::start("tokio", Keys::Slab, "read write hook", include_str!("tcp_tokio.rs"))?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.on_thread_park(|| recording::wait(0, None)).on_thread_unpark(|| recording::turn(0));
    runtime.enable_all().build()?.block_on(serve(args))
}

async fn serve(args: TcpArgs) -> io::Result<()> {
    seed::basic_config(&Format::Processes);
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_nonblocking(true)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(128)?;
    let serversocket = TcpListener::from_std(StdListener::from(serversocket))?;

    let (ctrl_c, is_over) = oneshot::channel::<()>();
    seed::after_ctrl_c(move || drop(ctrl_c))?;
    println!("Serving on {}", seed::Pair(serversocket.local_addr()?));
    tokio::spawn(recording::task(None, accept(serversocket)));
    // Nothing is sent: that the other half of the channel is gone is the message.
    let _ = is_over.await;
    println!("Shutting down");
    Ok(())
}

async fn accept(serversocket: TcpListener) {
    loop {
        match serversocket.accept().await {
            Ok((clientsocket, client_address)) => {
                debug!("New client: {client_address}");
                tokio::spawn(recording::task(Some(client_address), async move {
                    // An error of one client ends its own task only.
                    let _ = client_handler(clientsocket, client_address).await;
                    debug!("Bye-bye: {client_address}");
                }));
            }
            Err(error) => {
                error!("accepting pauses: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn client_handler(mut clientsocket: TcpStream, address: SocketAddr) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let count = recording::read_in_task(clientsocket.read(&mut buffer).await)?;
        let message = &buffer[..count];
        debug!("Recv: {} from {address}", Repr(message));
        if message.is_empty() {
            return Ok(());
        }
        let sent = clientsocket.write_all(message).await;
        recording::write_in_task(sent.map(|()| count))?;
        debug!("Send: {} to {address}", Repr(message));
    }
}
