//! An honest client beside an attack, and its response times.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::server::eventually;

/// An honest client: one small GET after the other, each on a new connection.
#[derive(Debug)]
pub struct Probe {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<Duration>>,
}

/// The response times of a [`Probe`], in order of length.
#[derive(Clone, Debug)]
pub struct Latencies(Vec<Duration>);

impl Probe {
    /// Requests `target` repeatedly, with `pause` after each response.
    pub fn start(address: SocketAddr, target: &'static str, pause: Duration) -> Self {
        let (stop, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (its_stop, its_asked) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = std::thread::spawn(move || {
            let mut latencies = Vec::new();
            while !its_stop.load(Ordering::Relaxed) {
                latencies.push(ask_once(address, target));
                its_asked.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(pause);
            }
            latencies
        });
        Self { stop, asked, thread }
    }

    /// Waits for `answers` more responses.
    pub fn wait_for_more(&self, answers: usize) {
        let wanted = self.asked.load(Ordering::Relaxed) + answers;
        eventually("the probe gets responses", || self.asked.load(Ordering::Relaxed) >= wanted);
    }

    /// Ends the probe and returns its response times.
    ///
    /// # Panics
    /// If a response was not a 200.
    pub fn stop(self) -> Latencies {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = self.thread.join().expect("every request was served");
        latencies.sort();
        Latencies(latencies)
    }
}

/// Requests `target` once; returns the time from before the connect to after the last byte of the response.
pub fn ask_once(address: SocketAddr, target: &str) -> Duration {
    let begun = Instant::now();
    let mut client = Client::connect(address);
    assert_eq!(client.get(target, "Connection: close\r\n").status, 200);
    begun.elapsed()
}

impl Latencies {
    /// Makes `count` requests, one after the other.
    pub fn of(address: SocketAddr, target: &str, count: usize) -> Self {
        let mut latencies: Vec<Duration> = (0..count).map(|_| ask_once(address, target)).collect();
        latencies.sort();
        Self(latencies)
    }

    /// The number of responses.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time within which `per_mille` of a thousand responses came.
    pub fn quantile(&self, per_mille: usize) -> Duration {
        let at = (self.0.len() * per_mille / 1000).min(self.0.len() - 1);
        self.0[at]
    }

    pub fn p50(&self) -> Duration {
        self.quantile(500)
    }

    pub fn p99(&self) -> Duration {
        self.quantile(990)
    }

    pub fn max(&self) -> Duration {
        *self.0.last().expect("at least one response")
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99, max) = (self.p50(), self.p99(), self.max());
        write!(f, "p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?} of {}", self.count())
    }
}
