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

/// The behaviour of one hostile client. [`Plan::default`] connects and is silent.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Sent as soon as the server takes it.
    pub opening: Vec<u8>,
    /// Sent repeatedly after the opening, once every [`Plan::every`].
    pub drip: Vec<u8>,
    /// The interval of drips and sips.
    pub every: Duration,
    /// How the client reads responses.
    pub reading: Reading,
    /// Closes the sending half after the opening.
    pub half_closes: bool,
    /// Resets the connection as soon as the opening has been taken.
    pub resets: bool,
    /// Keeps its socket open after the server's close, until the end of the attack.
    pub clings: bool,
    /// The size of the receive buffer; the system's default if 0.
    pub receive_buffer: usize,
    /// The source address; any if `None`.
    pub from: Option<[u8; 4]>,
}

/// How a hostile client reads responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Reads everything at once, as an honest client does.
    #[default]
    All,
    /// Does not read.
    Never,
    /// Reads this number of bytes once every [`Plan::every`].
    Sips(usize),
}

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The server closed it.
    Fin,
    /// The server reset it.
    Reset,
    /// It was still open at the end of the attack.
    Open,
    /// It was never established.
    Refused,
    /// The client reset it.
    Ours,
}

/// The end of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub how: How,
    /// Time since the start of the connect.
    pub after: Duration,
    /// The status of the first response, if one was read.
    pub status: Option<u16>,
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that the server, or its socket, has taken.
    pub sent: u64,
}

/// Many clients with the same plan.
#[derive(Debug)]
pub struct Hostile {
    thread: Option<JoinHandle<Vec<Ended>>>,
    shared: Arc<Shared>,
    count: usize,
}

#[derive(Debug, Default)]
struct Shared {
    called_off: AtomicBool,
    /// Clients that have sent their opening, or the part of it that the server takes at first.
    opened: AtomicUsize,
    /// Clients whose connection has ended.
    over: AtomicUsize,
}

impl Hostile {
    /// Connects `count` clients with this plan.
    pub fn start(address: SocketAddr, count: usize, plan: Plan) -> Self {
        raise_descriptor_limit();
        let shared = Arc::<Shared>::default();
        let its = Arc::clone(&shared);
        let thread = std::thread::spawn(move || Attack::new(address, count, plan, its).run());
        Self { thread: Some(thread), shared, count }
    }

    /// Clients that connect and are silent.
    pub fn silent(address: SocketAddr, count: usize) -> Self {
        Self::start(address, count, Plan::default())
    }

    /// Clients that send an endless head, a field at a time.
    pub fn slow_heads(address: SocketAddr, count: usize, every: Duration) -> Self {
        let opening = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        Self::start(address, count, Plan { opening, drip: b"X-a: b\r\n".to_vec(), every, ..Plan::default() })
    }

    /// Clients that announce a body and send it a byte at a time.
    pub fn slow_bodies(address: SocketAddr, count: usize, every: Duration) -> Self {
        let opening = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n".to_vec();
        Self::start(address, count, Plan { opening, drip: b"x".to_vec(), every, ..Plan::default() })
    }

    /// Clients that request `target` and do not read the response.
    pub fn never_reading(address: SocketAddr, count: usize, target: &str) -> Self {
        let (opening, receive_buffer) = (get(target), 4096);
        Self::start(
            address,
            count,
            Plan { opening, reading: Reading::Never, receive_buffer, ..Plan::default() },
        )
    }

    /// Clients that request `target` and read `sip` bytes of it once `every` interval.
    pub fn sipping(address: SocketAddr, count: usize, target: &str, sip: usize, every: Duration) -> Self {
        let (opening, reading, receive_buffer) = (get(target), Reading::Sips(sip), 4096);
        Self::start(address, count, Plan { opening, reading, every, receive_buffer, ..Plan::default() })
    }

    /// Clients that request `target`, close their sending half, and read.
    pub fn half_closing(address: SocketAddr, count: usize, target: &str) -> Self {
        Self::start(address, count, Plan { opening: get(target), half_closes: true, ..Plan::default() })
    }

    /// Clients that request `target` and reset the connection.
    pub fn resetting(address: SocketAddr, count: usize, target: &str) -> Self {
        Self::start(address, count, Plan { opening: get(target), resets: true, ..Plan::default() })
    }

    /// Clients that send `requests` requests at once and do not read.
    pub fn flood(address: SocketAddr, count: usize, target: &str, requests: usize) -> Self {
        let (opening, receive_buffer) = (get(target).repeat(requests), 4096);
        Self::start(
            address,
            count,
            Plan { opening, reading: Reading::Never, receive_buffer, ..Plan::default() },
        )
    }

    /// Waits until all clients are connected and have sent what the server takes at first.
    pub fn wait_until_open(&self) {
        eventually("all are connected", || self.shared.opened.load(Ordering::Relaxed) == self.count);
    }

    /// The number of connections that have ended so far.
    pub fn over(&self) -> usize {
        self.shared.over.load(Ordering::Relaxed)
    }

    /// Waits until the server has ended all connections; returns their ends.
    pub fn wait_until_over(self) -> Vec<Ended> {
        eventually("all are gone", || self.over() == self.count);
        self.call_off()
    }

    /// Ends the attack: the clients reset the connections that are still open.
    pub fn call_off(mut self) -> Vec<Ended> {
        self.shared.called_off.store(true, Ordering::Relaxed);
        self.thread.take().expect("a thread").join().expect("the attack")
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.shared.called_off.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread may have failed together with its test.
            let _ = thread.join();
        }
    }
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// Raises the descriptor limit of this process as far as it may, because each client needs a descriptor.
/// Returns the limit.
pub fn raise_descriptor_limit() -> usize {
    stheno::sys::process::raise_descriptor_limit()
}
