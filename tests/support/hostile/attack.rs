//! The thread of an attack: one poll over the sockets of all its clients.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Ended, How, Plan, Reading, Shared};

/// One socket of an attack.
#[derive(Debug)]
struct Attacker {
    stream: TcpStream,
    since: Instant,
    connected: bool,
    /// Bytes of the opening that were sent.
    sent: usize,
    dripped: u64,
    read: u64,
    /// The first bytes of the input.
    first: Vec<u8>,
    counted: bool,
}

pub(super) struct Attack {
    address: SocketAddr,
    count: usize,
    plan: Plan,
    shared: Arc<Shared>,
    poll: Poll,
    open: HashMap<usize, Attacker>,
    /// Sockets that the server has closed and the clients keep open.
    clung_to: Vec<Attacker>,
    ended: Vec<Ended>,
}

/// Connections that may be in progress at a time: less than a backlog.
const AT_ONCE: usize = 512;

/// How often the attack checks whether to end.
const GLANCE: Duration = Duration::from_millis(20);

impl Attack {
    pub(super) fn new(address: SocketAddr, count: usize, plan: Plan, shared: Arc<Shared>) -> Self {
        let poll = Poll::new().expect("a poll");
        let (open, clung_to, ended) = Default::default();
        Self { address, count, plan, shared, poll, open, clung_to, ended }
    }

    pub(super) fn run(mut self) -> Vec<Ended> {
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

    /// Does all that is possible on one socket; `gone`: the server has closed or reset it.
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
            // The end of input comes after bytes that are left unread, so only the event reports it.
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

    /// Whether the opening was sent, or, without reading, the part of it that the server takes.
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

    /// Reads at most `most` bytes; returns whether the end has come.
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

/// Makes the next close a reset.
fn reset(stream: &TcpStream) {
    // This fails for a socket that is reset already.
    let _ = stheno::sys::socket::reset_on_close(stream);
}
