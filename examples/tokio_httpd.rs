//! - New here: the whole server on a runtime: tasks do what `src/server` and `src/reactor` do.
//! - Try it: `cargo run --example tokio_httpd -- -r examples/site`, then `--runtime threads -w 2`.
//! - What it costs: a task, a timer and a registration for each connection that stays; `docs/BENCHMARKS.md` has figures.
//! - Break it: hold `local::with` across an `await`: it does not compile, because its borrow belongs to this thread.
//!
//! The twin of `stheno`: the same options and the same responses byte for byte, by the same start, master, protocol and
//! files. Tokio is built on mio, as the reactor is, so the system calls are alike. What differs is the layer between
//! them and the protocol: there a channel with hooks, here a task that awaits.
//!
//! | the reactor | here |
//! |---|---|
//! | `server::Worker`, the loop's turns | `tokio_httpd/worker.rs`: a runtime and its first task |
//! | `server::Acceptor`, `reactor::Listener` | `tokio_httpd/acceptor.rs`: a task for each listener |
//! | `server::HttpChannel`, `reactor::Context` | `tokio_httpd/conversation.rs`: a task for each connection |
//! | `server::ConnectionTable` | `tokio_httpd/connection_table.rs`: for tasks that may run on any thread |
//! | `server::Shared` | `tokio_httpd/local.rs`: the state of each thread |
//!
//! `--runtime prefork` is a runtime of one thread in each of `-w` processes, as the reactor is. `--runtime threads` is
//! one process with `-w` threads and the scheduler that moves tasks between them.

#[path = "tokio_httpd/acceptor.rs"]
mod acceptor;
#[path = "shared/burning.rs"]
mod burning;
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

use stheno::access::Access;
use stheno::app::{self, Front};
use stheno::cli::{self, OptionGroup};
use stheno::config::{self, Config, ConfigError, Values};
use stheno::files::FileService;
use stheno::reactor::AcceptMode;
use stheno::server::Worker;
use stheno::status::Station;

/// The target of the server's log lines.
const LOG: &str = "stheno";

/// The option that the server does not have.
const OPTIONS: &str = "== The twin of stheno on Tokio

--runtime kind = prefork
    Runtimes: `prefork`, one in each process, or `threads`, one for all.";

stheno::option_words! {
    /// The command line of the twin.
    struct TwinWords { runtime }
}

fn main() -> ExitCode {
    app::run(Twin { runtime: Runtime::Prefork })
}

/// The kind of runtime in a worker.
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
    type Words = TwinWords;

    fn options(&self) -> Vec<OptionGroup> {
        [cli::table(OPTIONS), config::options()].concat()
    }

    /// Tokio registers a listener as mio does, so `exclusive` is `shared` here. `-w` threads need one process; SIGTTIN
    /// adds another with as many threads.
    fn adapt(&mut self, values: &Values, config: &mut Config) -> Result<usize, ConfigError> {
        if let Some(name) = ["status", "status-path"].into_iter().find(|name| values.has(name)) {
            return Err(
                values.usage(name, "leave it out: the page shows the loop of stheno, and this is its twin")
            );
        }
        let lacks = ["allow", "auth", "proxy-protocol", "forwarded-from", "tls-cert", "tls-self-signed"];
        if let Some(name) = lacks.into_iter().find(|name| values.has(name)) {
            return Err(values.usage(name, "leave it out: only stheno has it, and this is its twin"));
        }
        if config.base.accept == AcceptMode::Exclusive {
            config.base.accept = AcceptMode::Shared;
        }
        if config.base.record.is_some() {
            return Err(values.usage("record", "the loop is Tokio's: it is not recorded"));
        }
        // Tasks of several threads would write the same counters.
        config.base.summary = false;
        self.runtime = match values.text("runtime") {
            "prefork" => Runtime::Prefork,
            "threads" => Runtime::Threads,
            _ => return Err(values.usage("runtime", "give prefork or threads")),
        };
        match self.runtime {
            Runtime::Prefork => Ok(1),
            Runtime::Threads => Ok(std::mem::replace(&mut config.base.workers, 1)),
        }
    }

    fn serve(
        &self,
        worker: Worker<FileService>,
        _status: Option<Station>,
        _access: Access,
        threads: usize,
    ) -> Result<(), (i32, io::Error)> {
        worker::serve(worker, self.runtime, threads)
    }
}
