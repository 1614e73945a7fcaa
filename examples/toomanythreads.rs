//! - New here: the limit on threads. Each one sleeps; the resource that runs out is address space, not time.
//! - Try it: `cargo run --example toomanythreads`; then with `--limit 1024`, or `--limit 100000`.
//! - What it costs: 2 MiB of addresses per stack; memory only for the pages that the thread has touched.
//! - Break it: it breaks by itself, at its own limit of address space, so other programs do not suffer.
//!
//! The lab's `toomanythreads`, which ends at 2048 threads on macOS, the limit of a process there. Linux allows
//! more than is good for the machine. Why bound threads? Each one needs memory, a place in the scheduler's
//! queue, and in the worst case swap. The pool (`tcp_threadpool`) is the remedy.

#[path = "shared/seed.rs"]
mod seed;

use std::io;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rlimit::Resource;

/// Bytes reserved for what a thread needs besides its stack.
const REST: usize = 1 << 20;

seed::options! {
    /// Starts threads that sleep, until no more can be started.
    struct Args {
        /// threads to start
        threads: usize = 10000,
        /// address space, in MiB, that this program allows itself
        limit: u64 = 4096,
    }
}

/// The limit of all memory; OpenBSD has one of data only, to which stacks of threads belong.
#[cfg(not(target_os = "openbsd"))]
const MEMORY: Resource = Resource::AS;
#[cfg(target_os = "openbsd")]
const MEMORY: Resource = Resource::DATA;

fn main() -> ExitCode {
    seed::main(run)
}

fn run(args: Args) -> io::Result<()> {
    let most = MEMORY.get_hard()?;
    MEMORY.set(args.limit.saturating_mul(1 << 20).min(most), most)?;

    let (running, started) = mpsc::channel();
    for number in 1..=args.threads {
        let refused =
            |error: &dyn std::fmt::Display| io::Error::other(format!("can't start new thread: {error}"));
        // Held while the thread starts, because a starting thread allocates too and could run out of address
        // space.
        let mut rest = Vec::<u8>::new();
        rest.try_reserve_exact(REST).map_err(|error| refused(&error))?;
        let running = running.clone();
        let sleeper = move || {
            // The receiver is gone when the program ends.
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
