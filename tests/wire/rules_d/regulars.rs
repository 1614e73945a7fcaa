//! Clients that keep their connections, send requests all the time, and check every byte of every response.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::Client;
use crate::support::server::eventually;

/// A failed connection: its local port, and the reason.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) port: u16,
    how: String,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from port {}: {}", self.port, self.how)
    }
}

#[derive(Debug, Default)]
struct Counts {
    stop: AtomicBool,
    answered: AtomicU64,
    failures: Mutex<Vec<Failure>>,
}

/// A group of such clients.
#[derive(Debug)]
pub(super) struct Regulars {
    counts: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
}

impl Regulars {
    /// Starts `clients` clients of this address. Each requests a small and a large file in turn, and connects
    /// again when the server closes its connection.
    pub(super) fn start(address: SocketAddr, clients: usize) -> Self {
        Self::start_by(clients, move || Client::connect(address))
    }

    /// As [`Regulars::start`], with another way to connect.
    pub(super) fn start_by(clients: usize, connect: impl Fn() -> Client + Send + Sync + 'static) -> Self {
        let (counts, connect) = (Arc::<Counts>::default(), Arc::new(connect));
        let client = |_| {
            let (counts, connect) = (Arc::clone(&counts), Arc::clone(&connect));
            std::thread::spawn(move || counts.ask_on(&*connect))
        };
        let threads = (0..clients).map(client).collect();
        let regulars = Self { counts, threads };
        regulars.wait_for_more(2 * clients as u64);
        regulars
    }

    /// Waits until `answers` more requests have been served.
    pub(super) fn wait_for_more(&self, answers: u64) {
        let wanted = self.answered() + answers;
        eventually("more requests are served", || self.answered() >= wanted);
    }

    pub(super) fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> Vec<Failure> {
        self.counts.failures.lock().expect("failures").clone()
    }

    /// Ends the clients; returns the number of served requests, and the failures.
    pub(super) fn stop(mut self) -> (u64, Vec<Failure>) {
        self.counts.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().expect("a client"));
        (self.answered(), self.failures())
    }
}

impl Counts {
    fn ask_on(&self, connect: &dyn Fn() -> Client) {
        while !self.is_over() {
            let mut port = 0;
            let visit = catch_unwind(AssertUnwindSafe(|| self.visit(connect, &mut port)));
            if let Err(panic) = visit
                && !self.is_over()
            {
                let how = reason(&*panic);
                self.failures.lock().expect("failures").push(Failure { port, how });
            }
        }
    }

    fn visit(&self, connect: &dyn Fn() -> Client, port: &mut u16) {
        let mut client = connect();
        // A client of a Unix socket has no port.
        *port = client.stream.local_addr().map_or(0, |address| address.port());
        let files: [(&str, &[u8]); 2] = [("/ok", b"hello\n"), ("/big", &[b'x'; 100_000])];
        for (target, content) in files.into_iter().cycle() {
            let answer = client.get(target, "");
            assert!(answer.status == 200 && answer.body == content, "{target}: {} bytes", answer.body.len());
            self.answered.fetch_add(1, Ordering::Relaxed);
            if answer.closes() || self.is_over() {
                break;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The clients end with their test, also when it fails.
impl Drop for Regulars {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::Relaxed);
    }
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}
