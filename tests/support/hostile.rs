//! Clients that mean harm, or behave as if they did: hundreds of them on one thread.
//!
//! A [`Plan`] says what each of them does; [`Hostile`] runs many of the same plan and tells at the end when
//! and how the server got rid of each ([`Ended`]). A [`Probe`] is the honest client beside them: it asks for
//! a small file on one new connection after the other, and knows how long each answer took.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::client::Client;
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

/// One socket of an attack.
#[derive(Debug)]
struct Attacker {
    stream: TcpStream,
    since: Instant,
    connected: bool,
    /// Of the opening.
    sent: usize,
    dripped: u64,
    read: u64,
    /// The first bytes of what was read.
    first: Vec<u8>,
    counted: bool,
}

struct Attack {
    address: SocketAddr,
    count: usize,
    plan: Plan,
    shared: Arc<Shared>,
    poll: Poll,
    open: HashMap<usize, Attacker>,
    /// The server has closed these; we keep them all the same.
    clung_to: Vec<Attacker>,
    ended: Vec<Ended>,
}

/// Connections that are begun before the answers to them are looked at: less than a backlog.
const AT_ONCE: usize = 512;

/// How often the attack looks whether it has been called off.
const GLANCE: Duration = Duration::from_millis(20);

impl Attack {
    fn new(address: SocketAddr, count: usize, plan: Plan, shared: Arc<Shared>) -> Self {
        let poll = Poll::new().expect("a poll");
        let (open, clung_to, ended) = Default::default();
        Self { address, count, plan, shared, poll, open, clung_to, ended }
    }

    fn run(mut self) -> Vec<Ended> {
        let mut events = Events::with_capacity(1024);
        let (mut begun, mut next_tick) = (0, Instant::now() + self.plan.every);
        let ticks = !self.plan.drip.is_empty() || matches!(self.plan.reading, Reading::Sips(_));
        while !self.shared.called_off.load(Ordering::Relaxed) {
            let waiting = self.open.values().filter(|attacker| !attacker.connected).count();
            for _ in waiting..AT_ONCE.min(waiting + self.count - begun) {
                self.begin(begun);
                begun += 1;
            }
            let until_tick = next_tick.saturating_duration_since(Instant::now());
            let wait = if ticks { until_tick.min(GLANCE) } else { GLANCE };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.expect("poll"),
            }
            for event in &events {
                let gone = event.is_error() || event.is_read_closed();
                self.go_on(event.token().0, gone);
            }
            if ticks && next_tick <= Instant::now() {
                next_tick = Instant::now() + self.plan.every;
                self.tick();
            }
        }
        let left: Vec<usize> = self.open.keys().copied().collect();
        for token in left {
            self.end(token, How::Open);
        }
        self.ended
    }

    fn begin(&mut self, token: usize) {
        let stream = connect(self.address, &self.plan);
        let mut stream = TcpStream::from_std(stream);
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(token), both).expect("register");
        let attacker = Attacker {
            stream,
            since: Instant::now(),
            connected: false,
            sent: 0,
            dripped: 0,
            read: 0,
            first: Vec::new(),
            counted: false,
        };
        self.open.insert(token, attacker);
    }

    /// Does what can be done on one socket; `gone` says that the server has closed, or reset.
    fn go_on(&mut self, token: usize, gone: bool) {
        let Some(attacker) = self.open.get_mut(&token) else {
            return;
        };
        let how = match attacker.go_on(&self.plan, gone) {
            Err(_) if !attacker.connected => Some(How::Refused),
            Err(_) => Some(How::Reset),
            Ok(how) => how,
        };
        let opened = how.is_some() || attacker.has_opened(&self.plan);
        if opened && !std::mem::replace(&mut attacker.counted, true) {
            self.shared.opened.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(how) = how {
            self.end(token, how);
        }
    }

    fn tick(&mut self) {
        let tokens: Vec<usize> = self.open.keys().copied().collect();
        for token in tokens {
            let Some(attacker) = self.open.get_mut(&token).filter(|attacker| attacker.connected) else {
                continue;
            };
            match attacker.tick(&self.plan) {
                Ok(false) => {}
                Ok(true) => self.end(token, How::Fin),
                Err(_) => self.end(token, How::Reset),
            }
        }
    }

    fn end(&mut self, token: usize, how: How) {
        let Some(attacker) = self.open.remove(&token) else {
            return;
        };
        self.ended.push(Ended {
            how,
            after: attacker.since.elapsed(),
            status: attacker.status(),
            read: attacker.read,
            sent: attacker.sent as u64 + attacker.dripped,
        });
        if how != How::Open {
            self.shared.over.fetch_add(1, Ordering::Relaxed);
        }
        match how {
            How::Open => reset(&attacker.stream),
            How::Fin if self.plan.clings => self.clung_to.push(attacker),
            _ => {}
        }
    }
}

impl Attacker {
    fn go_on(&mut self, plan: &Plan, gone: bool) -> io::Result<Option<How>> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        if !self.connected {
            match self.stream.peer_addr() {
                Ok(_) => self.connected = true,
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        self.send_opening(plan)?;
        if self.sent == plan.opening.len() && plan.half_closes && !self.counted {
            self.stream.shutdown(Shutdown::Write)?;
        }
        if self.sent == plan.opening.len() && plan.resets {
            reset(&self.stream);
            return Ok(Some(How::Ours));
        }
        let ended = match plan.reading {
            Reading::All => self.read(usize::MAX)?,
            // The end stands behind what is not read, and only the event tells of it.
            Reading::Never | Reading::Sips(_) => gone,
        };
        Ok(ended.then_some(How::Fin))
    }

    fn send_opening(&mut self, plan: &Plan) -> io::Result<()> {
        while self.sent < plan.opening.len() {
            match self.stream.write(&plan.opening[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether it has sent its opening, or as much of it as the server takes from who does not read.
    fn has_opened(&self, plan: &Plan) -> bool {
        self.connected && (self.sent == plan.opening.len() || plan.reading == Reading::Never)
    }

    fn tick(&mut self, plan: &Plan) -> io::Result<bool> {
        if self.sent == plan.opening.len() && !plan.drip.is_empty() {
            match self.stream.write(&plan.drip) {
                Ok(count) => self.dripped += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        match plan.reading {
            Reading::Sips(sip) => self.read(sip),
            _ => Ok(false),
        }
    }

    /// Reads so many bytes at the most; answers whether the end has come.
    fn read(&mut self, most: usize) -> io::Result<bool> {
        let mut piece = [0; 64 * 1024];
        let mut left = most;
        while left > 0 {
            let room = left.min(piece.len());
            match self.stream.read(&mut piece[..room]) {
                Ok(0) => return Ok(true),
                Ok(count) => {
                    let more = 12usize.saturating_sub(self.first.len()).min(count);
                    self.first.extend_from_slice(&piece[..more]);
                    (self.read, left) = (self.read + count as u64, left - count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn status(&self) -> Option<u16> {
        let line = std::str::from_utf8(&self.first).ok()?;
        line.strip_prefix("HTTP/1.1 ")?.parse().ok()
    }
}

fn connect(address: SocketAddr, plan: &Plan) -> std::net::TcpStream {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    if plan.receive_buffer > 0 {
        socket.set_recv_buffer_size(plan.receive_buffer).expect("a receive buffer");
    }
    if let Some(from) = plan.from {
        socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of this machine");
    }
    socket.set_tcp_nodelay(true).expect("no delay");
    socket.set_nonblocking(true).expect("not blocking");
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        result => result.expect("connect"),
    }
    socket.into()
}

/// The coming close is a reset.
fn reset(stream: &TcpStream) {
    // A socket that is reset already needs no more.
    let _ = stheno::sys::socket::reset_on_close(stream);
}

/// An honest client: one small GET after the other, each on a new connection.
#[derive(Debug)]
pub struct Probe {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<Duration>>,
}

/// How long the answers to a [`Probe`] took, in order of length.
#[derive(Clone, Debug)]
pub struct Latencies(Vec<Duration>);

impl Probe {
    /// Asks for `target` again and again, with `pause` between an answer and the next question.
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

    /// Waits until so many more answers have come.
    pub fn wait_for_more(&self, answers: usize) {
        let wanted = self.asked.load(Ordering::Relaxed) + answers;
        eventually("the probe is answered", || self.asked.load(Ordering::Relaxed) >= wanted);
    }

    /// Ends it.
    ///
    /// # Panics
    /// When a question was not answered with 200.
    pub fn stop(self) -> Latencies {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = self.thread.join().expect("every question was answered");
        latencies.sort();
        Latencies(latencies)
    }
}

/// From before the connect to behind the last byte of the answer.
pub fn ask_once(address: SocketAddr, target: &str) -> Duration {
    let begun = Instant::now();
    let mut client = Client::connect(address);
    assert_eq!(client.get(target, "Connection: close\r\n").status, 200);
    begun.elapsed()
}

impl Latencies {
    /// So many questions, one after the other.
    pub fn of(address: SocketAddr, target: &str, count: usize) -> Self {
        let mut latencies: Vec<Duration> = (0..count).map(|_| ask_once(address, target)).collect();
        latencies.sort();
        Self(latencies)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time within which so many of a thousand were answered.
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
        *self.0.last().expect("at least one answer")
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99, max) = (self.p50(), self.p99(), self.max());
        write!(f, "p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?} of {}", self.count())
    }
}
