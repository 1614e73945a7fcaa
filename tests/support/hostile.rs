//! Clients that attack the server, hundreds of them on one thread.
//!
//! A [`Plan`] says what each client does. [`Hostile`] runs many clients with the same plan, and reports when and how
//! the server ended each connection ([`Ended`]). A [`Probe`] is the honest client beside them: it requests a small
//! file on one new connection after the other, and measures each response time.

mod attack;
mod probe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use self::attack::Attack;
#[allow(unused_imports, reason = "each test crate uses a part of it")]
pub use self::probe::{Latencies, Probe, ask_once};
use super::server::eventually;

/// What one hostile client does. Start from [`Plan::default`], who connects and says nothing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Sent as soon as the server takes it.
    pub opening: Vec<u8>,
    /// Sent again and again behind the opening, once every [`Plan::every`].
    pub drip: Vec<u8>,
    /// How often something is dripped or sipped.
    pub every: Duration,
    /// What is done with answers.
    pub reading: Reading,
    /// Closes the sending half behind the opening.
    pub half_closes: bool,
    /// Resets the connection as soon as the opening has been taken.
    pub resets: bool,
    /// Keeps its socket when the server has closed, as long as the whole attack goes on.
    pub clings: bool,
    /// The size of the receive buffer; the system's if 0.
    pub receive_buffer: usize,
    /// The address it comes from; any if `None`.
    pub from: Option<[u8; 4]>,
}

/// What a hostile client does with answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Reads everything at once, as one should.
    #[default]
    All,
    /// Never reads.
    Never,
    /// So many bytes, once every [`Plan::every`].
    Sips(usize),
}

/// How the server has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With an orderly close.
    Fin,
    /// With a reset.
    Reset,
    /// Not at all: it was open when the attack was called off.
    Open,
    /// It never came to be.
    Refused,
    /// We reset it ourselves.
    Ours,
}

/// The end of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub how: How,
    /// Since it began to connect.
    pub after: Duration,
    /// The status of the first answer, if any was read.
    pub status: Option<u16>,
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that the server, or the socket before it, took.
    pub sent: u64,
}

/// Many clients of the same plan.
#[derive(Debug)]
pub struct Hostile {
    thread: Option<JoinHandle<Vec<Ended>>>,
    shared: Arc<Shared>,
    count: usize,
}

#[derive(Debug, Default)]
struct Shared {
    called_off: AtomicBool,
    /// Clients that have sent their opening, or as much of it as the server has taken at first.
    opened: AtomicUsize,
    /// Clients that the server has got rid of.
    over: AtomicUsize,
}

impl Hostile {
    /// Connects `count` clients of this plan.
    pub fn start(address: SocketAddr, count: usize, plan: Plan) -> Self {
        raise_descriptor_limit();
        let shared = Arc::<Shared>::default();
        let its = Arc::clone(&shared);
        let thread = std::thread::spawn(move || Attack::new(address, count, plan, its).run());
        Self { thread: Some(thread), shared, count }
    }

    /// They connect and say nothing.
    pub fn silent(address: SocketAddr, count: usize) -> Self {
        Self::start(address, count, Plan::default())
    }

    /// They send a head that never ends, a field at a time.
    pub fn slow_heads(address: SocketAddr, count: usize, every: Duration) -> Self {
        let opening = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        Self::start(address, count, Plan { opening, drip: b"X-a: b\r\n".to_vec(), every, ..Plan::default() })
    }

    /// They promise a body and send it a byte at a time.
    pub fn slow_bodies(address: SocketAddr, count: usize, every: Duration) -> Self {
        let opening = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n".to_vec();
        Self::start(address, count, Plan { opening, drip: b"x".to_vec(), every, ..Plan::default() })
    }

    /// They ask for `target` and never read the answer.
    pub fn never_reading(address: SocketAddr, count: usize, target: &str) -> Self {
        let (opening, receive_buffer) = (get(target), 4096);
        Self::start(
            address,
            count,
            Plan { opening, reading: Reading::Never, receive_buffer, ..Plan::default() },
        )
    }

    /// They ask for `target` and read so many bytes of it every so often.
    pub fn sipping(address: SocketAddr, count: usize, target: &str, sip: usize, every: Duration) -> Self {
        let (opening, reading, receive_buffer) = (get(target), Reading::Sips(sip), 4096);
        Self::start(address, count, Plan { opening, reading, every, receive_buffer, ..Plan::default() })
    }

    /// They ask for `target`, close their sending half, and read.
    pub fn half_closing(address: SocketAddr, count: usize, target: &str) -> Self {
        Self::start(address, count, Plan { opening: get(target), half_closes: true, ..Plan::default() })
    }

    /// They ask for `target` and reset the connection.
    pub fn resetting(address: SocketAddr, count: usize, target: &str) -> Self {
        Self::start(address, count, Plan { opening: get(target), resets: true, ..Plan::default() })
    }

    /// They send so many requests in one go and read no answer.
    pub fn flood(address: SocketAddr, count: usize, target: &str, requests: usize) -> Self {
        let (opening, receive_buffer) = (get(target).repeat(requests), 4096);
        Self::start(
            address,
            count,
            Plan { opening, reading: Reading::Never, receive_buffer, ..Plan::default() },
        )
    }

    /// Waits until all are connected and have sent what the server takes at first.
    pub fn wait_until_open(&self) {
        eventually("all are connected", || self.shared.opened.load(Ordering::Relaxed) == self.count);
    }

    /// How many the server has got rid of so far.
    pub fn over(&self) -> usize {
        self.shared.over.load(Ordering::Relaxed)
    }

    /// Waits until the server has got rid of them all, and answers how.
    pub fn wait_until_over(self) -> Vec<Ended> {
        eventually("all are gone", || self.over() == self.count);
        self.call_off()
    }

    /// Ends the attack: what is open is closed by us, with a reset.
    pub fn call_off(mut self) -> Vec<Ended> {
        self.shared.called_off.store(true, Ordering::Relaxed);
        self.thread.take().expect("a thread").join().expect("the attack")
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.shared.called_off.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has failed with its test.
            let _ = thread.join();
        }
    }
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// A thousand clients need a thousand descriptors; the limit of this process may be raised as it likes.
/// Answers what it is now.
pub fn raise_descriptor_limit() -> usize {
    stheno::sys::process::raise_descriptor_limit()
}
