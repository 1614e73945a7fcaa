//! The parts of Python's standard library that the lab's programs use: `argparse`, `logging`, the `repr` of
//! bytes, `KeyboardInterrupt`. Nothing here is about servers, so a rung can be read without it.
//!
//! | Python | here |
//! |---|---|
//! | `def main(host='localhost', port=9090)` | [`options!`]; [`TcpArgs`], [`WebArgs`], [`LabArgs`] |
//! | `if __name__ == "__main__": main()` | [`main`] |
//! | `socket.getaddrinfo`, hidden in `bind` | [`resolve`] |
//! | `logging.basicConfig(format=…)`, `logging.debug` | [`basic_config`], `log::debug!` |
//! | `f"{data}"` of bytes, of an address | [`Repr`], [`Pair`] |
//! | `clientsocket.recv(1024)` | [`recv`] |
//! | `except KeyboardInterrupt` | [`KeyboardInterrupt`], [`on_ctrl_c`] |

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each rung uses a part of it")]

mod argparse;

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::thread;

pub(crate) use argparse::options;
pub use argparse::{Options, Words};
use log::{Level, LevelFilter, Log, Metadata, Record};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The response of every web rung to every request: 71 bytes of page.
pub const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/html\r\n\
    Content-Length: 71\r\n\r\n\
    <html><head><title>Success</title></head><body>Index page</body></html>";

/// The name of this program.
pub const NAME: &str = env!("CARGO_CRATE_NAME");

options! {
    /// A TCP echo server.
    pub struct TcpArgs {
        /// address or name to listen on
        host: String = "localhost",
        /// port to listen on; 0 = any free one
        port: u16 = 9090,
    }
}

options! {
    /// A web server with one page, which takes a while.
    pub struct WebArgs {
        /// address or name to listen on
        host: String = "localhost",
        /// port to listen on; 0 = any free one
        port: u16 = 9090,
        /// milliseconds that the database takes
        db: u64 = 300,
        /// connections that may wait to be accepted
        backlog: u16 = 128,
    }
}

options! {
    /// Simple asynchronous web-server.
    pub struct LabArgs {
        /// address or name to listen on
        host: String = "127.0.0.1",
        /// port to listen on; 0 = any free one
        port: u16 = 9000,
    }
}

/// Reads the command line, runs `program`, and reports an error in one line.
pub fn main<A: Options>(program: fn(A) -> io::Result<()>) -> ExitCode {
    run(&words(), program)
}

/// The words of the command line.
pub fn words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Reads these words, runs `program`, and reports an error in one line.
pub fn run<A: Options>(words: &[String], program: fn(A) -> io::Result<()>) -> ExitCode {
    if asks_for_help(words) {
        print!("{}", argparse::help::<A>(NAME));
        return ExitCode::SUCCESS;
    }
    match argparse::parse(words) {
        Ok(args) => report(program(args)),
        Err(text) => complain(&text),
    }
}

/// Whether the words are a question.
pub fn asks_for_help(words: &[String]) -> bool {
    words.iter().any(|word| matches!(word.as_str(), "--help" | "-h" | "help"))
}

/// The exit code of a program, whose error is reported in one line.
pub fn report(ended: io::Result<()>) -> ExitCode {
    let Err(error) = ended else {
        return ExitCode::SUCCESS;
    };
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "; choose another with --port, or --port 0 for any free one",
        ErrorKind::AddrNotAvailable => "; choose another with --host",
        _ => "",
    };
    eprintln!("{NAME}: {error}{advice}");
    ExitCode::FAILURE
}

/// Reports a wrong command line in one line.
pub fn complain(text: &str) -> ExitCode {
    let line: Vec<&str> = text.split_whitespace().collect();
    eprintln!("{NAME}: {} (see {NAME} --help)", line.join(" "));
    ExitCode::from(2)
}

/// The address of a host: IPv4 if it has one, because all sockets of the lab are AF_INET.
pub fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let found = (host, port).to_socket_addrs().map(Iterator::collect);
    let found: Vec<SocketAddr> = found
        .map_err(|error| io::Error::other(format!("cannot find the host '{host}' of --host: {error}")))?;
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| io::Error::other(format!("the host '{host}' has no address")))
}

/// Bytes as Python prints them: `b'Hey server\n'`.
pub struct Repr<'a>(pub &'a [u8]);

impl fmt::Display for Repr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains(&b'\'') && !self.0.contains(&b'"') { '"' } else { '\'' };
        write!(f, "b{quote}")?;
        for byte in self.0 {
            match byte {
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' if char::from(*byte) == quote => write!(f, "\\{quote}")?,
                b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        write!(f, "{quote}")
    }
}

/// An address as Python prints it: `('127.0.0.1', 56365)`.
pub struct Pair(pub SocketAddr);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "('{}', {})", self.0.ip(), self.0.port())
    }
}

/// `recv(2)`, repeated if a signal interrupts it, as Python does (PEP 475). An empty result: the peer has
/// closed.
pub fn recv<'b>(socket: &mut impl Read, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result.map(|count| &buffer[..count]),
        }
    }
}

/// The beginning of a line of the log.
#[derive(Clone, Copy)]
pub enum Format {
    /// `[%(levelname)s] (%(threadName)-10s) %(message)s`
    Threads,
    /// `[%(levelname)s] (%(processName)-10s) (%(threadName)-10s) %(message)s`
    Processes,
    /// `%(name)s: %(process)d %(message)s`
    Server,
}

/// Python's process name; [`name_process`] sets it in a child after the fork.
static PROCESS: OnceLock<String> = OnceLock::new();

/// Gives a forked process the name that Python's `multiprocessing` gives it.
pub fn name_process(number: usize) {
    // Set once per process; a second name changes nothing.
    let _ = PROCESS.set(format!("Process-{number}"));
}

/// Sends the output of `log::debug!` to standard error, in this format.
pub fn basic_config(format: &'static Format) {
    // Set once per program; a second format changes nothing.
    let _ = log::set_logger(format);
    log::set_max_level(LevelFilter::Debug);
}

impl Log for Format {
    /// Everything that the rung logs, and the warnings of the libraries below it.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(NAME) || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = if record.level() == Level::Warn { "WARNING" } else { record.level().as_str() };
        let thread = thread::current();
        let thread = thread.name().map_or("Thread", |name| if name == "main" { "MainThread" } else { name });
        let process = PROCESS.get().map_or("MainProcess", String::as_str);
        let message = record.args();
        let line = match self {
            Self::Threads => format!("[{level}] ({thread:<10}) {message}\n"),
            Self::Processes => format!("[{level}] ({process:<10}) ({thread:<10}) {message}\n"),
            Self::Server => format!("{NAME}: {} {message}\n", std::process::id()),
        };
        // One call, so that lines of several processes do not mix. A closed standard error is not a failure of
        // the rung.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// Ctrl+C, or `kill`: Python raises `KeyboardInterrupt` in the main thread.
pub struct KeyboardInterrupt(Signals);

impl KeyboardInterrupt {
    /// From now on neither ends the program by itself.
    pub fn expect() -> io::Result<Self> {
        Signals::new([SIGINT, SIGTERM]).map(Self)
    }

    /// Waits until one comes.
    pub fn wait(&mut self) {
        let _ = self.0.forever().next();
    }
}

/// On Ctrl+C (or `kill`), prints `message` and ends the program, also while other threads are blocked.
pub fn on_ctrl_c(message: &'static str) -> io::Result<()> {
    after_ctrl_c(move || {
        println!("{message}");
        std::process::exit(0);
    })
}

/// Makes this call on Ctrl+C (or `kill`), on a thread of its own.
pub fn after_ctrl_c(call: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut interrupt = KeyboardInterrupt::expect()?;
    thread::Builder::new().name("KeyboardInterrupt".into()).spawn(move || {
        interrupt.wait();
        call();
    })?;
    Ok(())
}
