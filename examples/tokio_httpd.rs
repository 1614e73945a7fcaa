//! - New here: the whole server, on a runtime: what `src/server` and `src/reactor` do, done by tasks.
//! - Try it: `cargo run --example tokio_httpd -- -r examples/site`, then `--runtime threads -w 2`.
//! - What it costs: a task, a timer and a registration for each connection; `docs/BENCHMARKS.md` has the figures.
//! - Break it: hold `local::with` across an `await`: it does not compile, for its borrow is this thread's.
//!
//! The twin of `stheno`: the same options, the same answers byte for byte, by the same command, master, protocol and
//! files. Tokio stands on mio, as the reactor does, so the calls to the kernel are alike, and what differs is the
//! layer between them and the protocol: there a channel with hooks, here a task that awaits.
//!
//! | the reactor | here |
//! |---|---|
//! | `server::Worker`, the loop's turns | `tokio_httpd/worker.rs`: a runtime and its first task |
//! | `server::Acceptor`, `reactor::Listener` | `tokio_httpd/acceptor.rs`: a task for each listener |
//! | `server::HttpChannel`, `reactor::Context` | `tokio_httpd/conversation.rs`: a task for each connection |
//! | `server::ConnectionTable` | `tokio_httpd/connection_table.rs`: for tasks that may run on any thread |
//! | `server::Shared` | `tokio_httpd/local.rs`: what each thread has for itself |
//!
//! `--runtime prefork` is a runtime of one thread in each of `-w` processes, as the reactor is. `--runtime threads` is
//! one process with `-w` threads and the scheduler that moves tasks between them.

#[allow(dead_code, reason = "its own main and front: another serves here")]
#[path = "../src/main.rs"]
mod command;

#[path = "tokio_httpd/acceptor.rs"]
mod acceptor;
#[path = "tokio_httpd/connection_table.rs"]
mod connection_table;
#[path = "tokio_httpd/conversation.rs"]
mod conversation;
#[path = "tokio_httpd/local.rs"]
mod local;
#[path = "tokio_httpd/worker.rs"]
mod worker;

use std::io;
use std::process::ExitCode;

use command::Front;
use stheno::config::{Config, ConfigError};
use stheno::files::FileService;
use stheno::reactor::AcceptMode;
use stheno::server::Worker;

/// Lines of the log are the server's own.
const LOG: &str = "stheno";

fn main() -> ExitCode {
    command::run(Twin { runtime: Runtime::Prefork })
}

/// How many runtimes there are, and of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runtime {
    Prefork,
    Threads,
}

struct Twin {
    runtime: Runtime,
}

impl Front for Twin {
    const NAME: &'static str = "tokio_httpd";

    fn take_words(&mut self, words: &mut Vec<String>) -> Result<(), ConfigError> {
        if words.iter().any(|word| word == "--help" || word == "-h") {
            println!(
                "The twin of stheno on Tokio: --runtime prefork (the default) or threads, and beside that:\n"
            );
        }
        while let Some(at) = words.iter().position(|word| word.starts_with("--runtime")) {
            let word = words.remove(at);
            let value = match word.strip_prefix("--runtime=") {
                Some(value) => value.to_string(),
                None if at < words.len() && word == "--runtime" => words.remove(at),
                None => String::new(),
            };
            self.runtime = match value.as_str() {
                "prefork" => Runtime::Prefork,
                "threads" => Runtime::Threads,
                _ => return Err(ConfigError::Usage(format!("--runtime '{value}': give prefork or threads"))),
            };
        }
        Ok(())
    }

    /// Tokio registers a listener as mio does, so an exclusive one is a shared one here. `-w` threads need no other
    /// process; SIGTTIN adds one all the same, with as many threads again.
    fn adapt(&self, config: &mut Config) -> usize {
        if config.accept == AcceptMode::Exclusive {
            config.accept = AcceptMode::Shared;
        }
        match self.runtime {
            Runtime::Prefork => 1,
            Runtime::Threads => std::mem::replace(&mut config.workers, 1),
        }
    }

    fn serve(&self, worker: Worker<FileService>, threads: usize) -> (i32, io::Result<()>) {
        worker::serve(worker, self.runtime, threads)
    }
}
