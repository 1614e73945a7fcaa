//! - New here: how many threads there can be. Each one sleeps; what runs out is room, not time.
//! - Try it: `cargo run --example toomanythreads`; then with `--limit 1024`, or `--limit 100000`.
//! - What it costs: 2 MiB of addresses for each thread's stack; of memory only what the thread has touched.
//! - Break it: it breaks by itself, at a limit of its own: so much address space, and nobody else suffers.
//!
//! The lab's `toomanythreads`, which ends at 2048 where macOS allows a process no more; Linux allows more than
//! is good for the machine. Why bound threads? Each wants memory, a place in the scheduler's queue, and at the
//! worst the swap. That is what the pool (`tcp_threadpool`) is for.

#[path = "shared/seed.rs"]
mod seed;

use std::io;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use argh::FromArgs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is left for everything that a thread needs beside its stack.
const REST: usize = 1 << 20;

/// Starts threads that sleep, until no more can be started.
#[derive(FromArgs)]
struct Args {
    /// threads to start (default 10000)
    #[argh(option, default = "10000")]
    threads: usize,

    /// address space, in MiB, that this program allows itself (default 4096)
    #[argh(option, default = "4096", arg_name = "mib")]
    limit: u64,
}

fn main() -> ExitCode {
    seed::main(run)
}

fn run(args: Args) -> io::Result<()> {
    let most = getrlimit(Resource::As).maximum;
    let limit = args.limit.saturating_mul(1 << 20).min(most.unwrap_or(u64::MAX));
    setrlimit(Resource::As, Rlimit { current: Some(limit), maximum: most })?;

    let (running, started) = mpsc::channel();
    for number in 1..=args.threads {
        let refused =
            |error: &dyn std::fmt::Display| io::Error::other(format!("can't start new thread: {error}"));
        // Held while the thread begins, which needs some room itself: without it that could be what runs out.
        let mut rest = Vec::<u8>::new();
        rest.try_reserve_exact(REST).map_err(|error| refused(&error))?;
        let running = running.clone();
        let sleeper = move || {
            // Nobody listens any more when the program ends.
            let _ = running.send(());
            loop {
                thread::sleep(Duration::from_secs(1));
            }
        };
        thread::Builder::new().spawn(sleeper).map_err(|error| refused(&error))?;
        started.recv().map_err(|error| refused(&error))?;
        drop(rest);
        // The main thread counts as well (threading.active_count).
        println!("{}", number + 1);
    }
    Ok(())
}
