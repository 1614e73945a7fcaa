//! - New here: a fixed number of threads, which all accept; a client waits in the queue while all are busy.
//! - Try it: `cargo run --example tcp_threadpool -- --threads 2`, and three times `nc localhost 9090`.
//! - What it costs: a fixed number of threads under any load; and an event that tells them when to stop.
//! - Break it: connect as many silent clients as threads: no other client is served, and no time-out ends it.
//!
//! The lab's thread pool, in which a thread blocked in `accept` never sees the event. Here the main thread sets
//! the event, shuts down the connections that are being served, and connects to the listener until every thread
//! has ended.

#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, ScopedJoinHandle};
use std::time::Duration;

use argh::FromArgs;
use log::debug;
use seed::{Format, Repr};
use socket2::{Domain, Socket, Type};
use stheno::sys::signal::{Signal, Signals};

/// An echo server with a pool of threads.
#[derive(FromArgs)]
struct Args {
    /// address or name to listen on (default localhost)
    #[argh(option, default = "\"localhost\".into()")]
    host: String,

    /// port to listen on (default 9090; 0 = any free one)
    #[argh(option, default = "9090")]
    port: u16,

    /// threads of the pool (default 10)
    #[argh(option, default = "NonZeroUsize::MIN.saturating_add(9)")]
    threads: NonZeroUsize,
}

/// The state that all threads share. Each thread has one entry in `clients`, for the connection it serves.
struct Pool {
    serversocket: TcpListener,
    shutdown_event: AtomicBool,
    clients: Vec<Mutex<Option<Arc<TcpStream>>>>,
}

fn main() -> ExitCode {
    seed::main(serve)
}

fn serve(args: Args) -> io::Result<()> {
    seed::basic_config(&Format::Threads);
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(128)?;
    let serversocket = TcpListener::from(serversocket);

    let signals = Signals::install(&[Signal::Interrupt, Signal::Terminate])?;
    println!("Starting TCP Echo Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let clients = (0..args.threads.get()).map(|_| Mutex::default()).collect();
    let pool = &Pool { serversocket, shutdown_event: AtomicBool::new(false), clients };
    // The end of the scope joins all of its threads.
    thread::scope(|scope| {
        let (mut threads, mut ended) = (Vec::new(), Ok(()));
        for number in 0..args.threads.get() {
            let thread = Builder::new().name(format!("Thread-{}", number + 1));
            match thread.spawn_scoped(scope, move || worker_thread(pool, number)) {
                Ok(thread) => threads.push(thread),
                Err(error) => ended = Err(error),
            }
        }
        if ended.is_ok() {
            ended = seed::wait_for_ctrl_c(&signals);
            println!("Shutting down...");
        }
        pool.hang_up();
        while !threads.iter().all(ScopedJoinHandle::is_finished) {
            pool.knock();
        }
        ended
    })
}

fn worker_thread(pool: &Pool, number: usize) {
    while !pool.shutdown_event.load(Ordering::SeqCst) {
        let Ok((clientsocket, client_address)) = pool.serversocket.accept() else {
            // `accept` failed, for example for lack of descriptors. An immediate retry would only keep the core
            // busy.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let clientsocket = Arc::new(clientsocket);
        pool.set_client(number, Some(Arc::clone(&clientsocket)));
        // Checked after the client has been entered: either this thread sees the event or `hang_up` sees the
        // client.
        if !pool.shutdown_event.load(Ordering::SeqCst) {
            debug!("New client: {client_address}");
            let _ = echo(&clientsocket);
            debug!("Bye-bye: {client_address}");
        }
        pool.set_client(number, None);
    }
    debug!("Shutting down thread");
}

fn echo(mut clientsocket: &TcpStream) -> io::Result<()> {
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

impl Pool {
    fn set_client(&self, number: usize, client: Option<Arc<TcpStream>>) {
        *self.clients[number].lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// Sets the event, and shuts down the connections that the threads serve.
    fn hang_up(&self) {
        self.shutdown_event.store(true, Ordering::SeqCst);
        for client in &self.clients {
            if let Some(client) = &*client.lock().unwrap_or_else(PoisonError::into_inner) {
                // The client may have left already.
                let _ = client.shutdown(Shutdown::Both);
            }
        }
    }

    /// Wakes one of the threads that wait in `accept`.
    fn knock(&self) {
        let address = self.serversocket.local_addr();
        // This may fail for lack of descriptors, until a thread has closed its client's.
        let _ = address.and_then(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)));
        thread::sleep(Duration::from_millis(5));
    }
}
