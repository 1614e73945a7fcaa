//! What the lanes share: the listening socket, the worker threads, and the end by a signal.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::thread;

use argh::FromArgs;
use socket2::{Domain, Socket, Type};
use stheno::sys::readiness::wait_readable;
use stheno::sys::signal::{Signal, Signals};
use stheno::sys::socket::defer_accept;

/// The queue of connections that wait to be accepted: the server's figure.
const BACKLOG: i32 = 4096;

/// Files, served by the file service of tower-http.
#[derive(Debug, FromArgs)]
pub struct ServeDirArgs {
    /// port to listen on (default: 9003 with hyper, 9004 with axum)
    #[argh(option)]
    pub port: Option<u16>,

    /// folder of the files (default .)
    #[argh(option, short = 'r', default = "PathBuf::from(\".\")")]
    pub root: PathBuf,

    /// threads of the runtime (default 1, a runtime on one thread)
    #[argh(option, short = 'w', default = "1")]
    pub workers: usize,
}

/// Makes a listening socket on the loopback, and prints its URL. As with the other contestants, connections are accepted
/// with their first bytes (`TCP_DEFER_ACCEPT`), and inherit `TCP_NODELAY`.
///
/// # Errors
/// The address and the reason, in one line: the port is taken, mostly.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let listening = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
        defer_accept(socket.as_fd(), true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    let listener = listening().map_err(|error| because(&address.to_string(), &error))?;
    println!("http://{}/", listener.local_addr()?);
    Ok(listener)
}

/// The same error, with its subject.
#[must_use]
pub fn because(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// The exit code of a lane; an error is one line on standard error.
pub fn exit_code(name: &str, result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `serve` in `workers` threads, which share the listener, until SIGINT or SIGTERM. Open connections end with the
/// process. An error of a thread ends it, too.
///
/// # Errors
/// When signals cannot be handled, or the listener cannot be shared.
pub fn in_threads<F>(name: &'static str, listener: &TcpListener, workers: usize, serve: F) -> io::Result<()>
where
    F: Fn(TcpListener) -> io::Result<()> + Clone + Send + 'static,
{
    let signals = Signals::install(&[Signal::Interrupt, Signal::Terminate])?;
    for _ in 0..workers.max(1) {
        let (listener, serve) = (listener.try_clone()?, serve.clone());
        thread::spawn(move || {
            if let Err(error) = serve(listener) {
                eprintln!("{name}: {error}");
                process::exit(1);
            }
        });
    }
    let mut is_over = false;
    while !is_over {
        wait_readable(signals.as_fd(), None)?;
        signals.take(|_| is_over = true)?;
    }
    Ok(())
}

/// Runs a server on Tokio: on this thread, or with a scheduler of `workers` threads.
///
/// # Errors
/// As the runtime and the server.
pub fn on_tokio(workers: usize, server: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    use tokio::runtime::Builder;
    let mut builder = if workers > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.worker_threads(workers.max(1)).enable_all().build()?.block_on(server)
}

/// Makes a listener of Tokio's.
///
/// # Errors
/// As [`listen`], and as the runtime.
pub fn listen_on_tokio(port: u16) -> io::Result<tokio::net::TcpListener> {
    let listener = listen(port)?;
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

/// Completes with SIGINT or SIGTERM.
///
/// # Errors
/// When signals cannot be handled.
pub async fn end_of_tokio() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
