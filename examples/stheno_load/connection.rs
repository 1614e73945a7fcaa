//! A connection to the server, and the user that it belongs to.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use stheno::clock::Instant;
use stheno::reactor::{CallLater, Context, Dispatcher, NoSource};

use crate::answer::{Answer, Whole};
use crate::args::Plan;
use crate::pace::Pace;
use crate::tally::{Lines, Moments, Tally};

/// The least wait of a user after a failure, so that an absent server is not asked a million times a second.
const PAUSE: Duration = Duration::from_millis(100);

/// What the connections of a thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    address: SocketAddr,
    request: Vec<u8>,
    patience: Duration,
    /// The moment from which results count.
    measured_from: Instant,
    pub(crate) tally: RefCell<Tally>,
}

impl Shared {
    pub(crate) fn new(plan: &Plan, begun: Instant, lines: Option<Lines>) -> io::Result<Self> {
        let tally = RefCell::new(Tally { lines, ..Tally::default() });
        let measured_from = begun + plan.warm_up;
        let (address, request) = (plan.address, plan.request.clone());
        Ok(Self { address, request, patience: plan.patience, measured_from, tally })
    }

    fn failed(&self, moments: Moments, why: &str) {
        let now = Instant::now();
        self.tally.borrow_mut().failed(moments, now, why, now >= self.measured_from);
    }
}

/// Opens a connection for a request that is due.
pub(crate) fn start(shared: Rc<Shared>, pace: Pace, due: Instant, cx: &mut Context<'_>) {
    match TcpStream::connect(shared.address) {
        Ok(socket) => cx.adopt(Connection::new(socket, shared, pace, due)),
        Err(error) => {
            shared.failed(Moments { due, sent: Instant::now() }, &error.to_string());
            let mut pace = pace;
            let due = pace.next(Instant::now());
            let wait = due.saturating_duration_since(Instant::now()).max(PAUSE);
            cx.call_later(wait, move |cx| start(shared, pace, due, cx));
        }
    }
}

/// The state of a connection.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The number of request bytes that have been sent; 0 while the connection is being made.
    Asking(Moments, usize),
    Hearing(Moments),
    /// Idle until the moment when the next request is due.
    Waiting(Instant),
}

/// Made for a request, and kept as long as the server keeps it.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    shared: Rc<Shared>,
    /// `None` when the user has left this connection.
    pace: Option<Pace>,
    state: State,
    answer: Answer,
    answers: u64,
}

impl Connection {
    fn new(socket: TcpStream, shared: Rc<Shared>, pace: Pace, due: Instant) -> Self {
        // A request is one small piece; without the option it only leaves later.
        let _ = socket.set_nodelay(true);
        let state = State::Asking(Moments { due, sent: Instant::now() }, 0);
        shared.tally.borrow_mut().waiting += 1;
        Self { socket, shared, pace: Some(pace), state, answer: Answer::default(), answers: 0 }
    }

    fn ask(&mut self, due: Instant) {
        self.answer = Answer::default();
        self.shared.tally.borrow_mut().waiting += 1;
        self.state = State::Asking(Moments { due, sent: Instant::now() }, 0);
    }

    /// Counts a complete response; the user then thinks.
    fn answered(&mut self, cx: &mut Context<'_>, moments: Moments, whole: Whole) {
        let now = Instant::now();
        self.answers += 1;
        {
            let mut tally = self.shared.tally.borrow_mut();
            tally.waiting -= 1;
            let counts = now >= self.shared.measured_from;
            match whole.status {
                ..400 => tally.answered(moments, now, counts),
                status => tally.failed(moments, now, &format!("status {status}"), counts),
            }
        }
        let Some(pace) = &mut self.pace else { return };
        let due = pace.next(now);
        if !whole.keeps {
            self.leave(cx, due, due.saturating_duration_since(now));
        } else if due <= now {
            self.ask(due);
        } else {
            self.state = State::Waiting(due);
        }
    }

    /// Counts a request that will get no response.
    fn failed(&mut self, cx: &mut Context<'_>, moments: Moments, why: &str) {
        self.shared.tally.borrow_mut().waiting -= 1;
        self.shared.failed(moments, why);
        let now = Instant::now();
        let Some(pace) = &mut self.pace else { return };
        let due = pace.next(now);
        self.leave(cx, due, due.saturating_duration_since(now).max(PAUSE));
    }

    /// Closes this connection; the user opens another one later.
    fn leave(&mut self, cx: &mut Context<'_>, due: Instant, wait: Duration) {
        let Some(pace) = self.pace.take() else { return };
        let shared = Rc::clone(&self.shared);
        cx.call_later(wait, move |cx| start(shared, pace, due, cx));
        cx.close();
    }

    /// A kept connection may be closed just when it is used: that is no failure (RFC 9112, 9.3.1).
    fn is_stale(&self) -> bool {
        self.answers > 0 && self.answer.is_empty()
    }
}

impl Dispatcher for Connection {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn readable(&self) -> bool {
        !matches!(self.state, State::Asking(..))
    }

    fn writable(&self) -> bool {
        matches!(self.state, State::Asking(..))
    }

    fn deadline(&self) -> Option<Instant> {
        Some(match self.state {
            State::Waiting(until) => until,
            State::Asking(moments, _) | State::Hearing(moments) => moments.sent + self.shared.patience,
        })
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let State::Asking(moments, sent) = self.state else { return Ok(()) };
        // There is no room either while the connection is being made.
        let Some(count) = cx.send(&self.socket, &self.shared.request[sent..], false)? else { return Ok(()) };
        let sent = sent + count;
        self.state = if sent < self.shared.request.len() {
            State::Asking(moments, sent)
        } else {
            State::Hearing(moments)
        };
        Ok(())
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(piece) = cx.recv(&mut self.socket)? {
            match self.state {
                State::Hearing(moments) => {
                    if let Some(whole) = self.answer.take(piece)? {
                        self.answered(cx, moments, whole);
                        return Ok(());
                    }
                }
                // The server has closed, or sends without a request: the user needs another connection.
                State::Waiting(due) => {
                    self.leave(cx, due, due.saturating_duration_since(Instant::now()));
                    return Ok(());
                }
                State::Asking(..) => return Ok(()),
            }
        }
        Ok(())
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.state {
            State::Waiting(due) => self.ask(due),
            State::Asking(moments, _) | State::Hearing(moments) => self.failed(cx, moments, "no answer"),
        }
        Ok(())
    }

    fn handle_error(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        match self.state {
            State::Waiting(due) => self.leave(cx, due, due.saturating_duration_since(Instant::now())),
            State::Asking(Moments { due, .. }, _) | State::Hearing(Moments { due, .. })
                if self.is_stale() =>
            {
                self.shared.tally.borrow_mut().waiting -= 1;
                self.leave(cx, due, Duration::ZERO);
            }
            State::Asking(moments, _) | State::Hearing(moments) => {
                self.failed(cx, moments, &error.to_string());
            }
        }
        cx.close();
    }
}

/// Ends the loop at the end of the run, and keeps it running until then.
#[derive(Debug)]
pub(crate) struct End {
    source: NoSource,
    at: Instant,
}

impl End {
    pub(crate) fn at(at: Instant) -> Self {
        Self { source: NoSource, at }
    }
}

impl Dispatcher for End {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.source
    }

    fn readable(&self) -> bool {
        false
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.at)
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.stop();
        Ok(())
    }
}
