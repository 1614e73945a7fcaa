//! - New here: a fixed number of threads, all of which accept; who finds them all busy waits in the queue.
//! - Try it: `cargo run --example tcp_threadpool -- --threads 2`, and three times `nc localhost 9090`.
//! - What it costs: so many threads, whatever comes; and an event that tells them when to stop.
//! - Break it: as many silent clients as threads: nobody else is served, and no time-out ends it.
//!
//! The lab's thread pool. There a thread that waits in `accept` never sees the event. Here whoever sets it hangs
//! up on the clients that are being served, and knocks at the door until every thread has gone.

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

/// What all threads share. Each has a place for the client it serves.
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
    // At the end of the scope all of its threads are joined.
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
            // No descriptor is free, say. Asking again at once would only keep the core busy.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let clientsocket = Arc::new(clientsocket);
        pool.set_client(number, Some(Arc::clone(&clientsocket)));
        // Asked when the client stands in its place: now either this thread or `hang_up` sees the other.
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

    /// Sets the event, and ends what the threads are at.
    fn hang_up(&self) {
        self.shutdown_event.store(true, Ordering::SeqCst);
        for client in &self.clients {
            if let Some(client) = &*client.lock().unwrap_or_else(PoisonError::into_inner) {
                // It may have gone by itself.
                let _ = client.shutdown(Shutdown::Both);
            }
        }
    }

    /// Wakes one of the threads that wait in `accept`.
    fn knock(&self) {
        let address = self.serversocket.local_addr();
        // It may fail: no descriptor is free, say, until a thread has closed its client's.
        let _ = address.and_then(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)));
        thread::sleep(Duration::from_millis(5));
    }
}
