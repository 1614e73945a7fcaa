//! A connection's task: it reads, calls the driver of the protocol, and writes.
//!
//! ```text
//! run:  read, until the deadline ──► turn ──► write ──► more output? turn … ──► read …
//! ```

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use compio::buf::BufResult;
use compio::driver::BufferRef;
use compio::io::{AsyncRead, AsyncReadManaged, AsyncWrite, AsyncWriteExt};
use compio::net::TcpStream;
use compio::time::{sleep, sleep_until};
use stheno::chat::Spares;
use stheno::clock::{DateCache, Instant, Now};
use stheno::http1::{Settings, Turn};
use stheno::reactor::{FRAMES_PER_TURN, Peer};
use stheno::server::{Driver, DriverContext, PeerInfo, WorkerService};
use stheno::slab::Key;

use crate::BUFFER;
use crate::transport::{Completions, Outcome};

/// The most memory for output that is kept for other connections.
const KEPT: usize = 64;

/// What the connections of a thread share.
#[derive(Debug)]
pub(crate) struct Worker<S> {
    service: S,
    settings: Settings,
    resources: RefCell<Resources>,
}

#[derive(Debug, Default)]
struct Resources {
    dates: DateCache,
    spares: Spares,
    outputs: Vec<Vec<u8>>,
}

impl<S: WorkerService> Worker<S> {
    pub(crate) fn new(service: S) -> Self {
        let mut settings = Settings::default();
        // As the other contestants: connections that are idle in a benchmark stay.
        settings.timeouts.keep_alive = Duration::from_secs(600);
        Self { service, settings, resources: RefCell::default() }
    }

    /// Lets the service free what it has not used lately, at most once a second.
    pub(crate) async fn tend(self: Rc<Self>) {
        loop {
            let rest = self.service.tend(Now::ask()).unwrap_or_default();
            sleep(rest.max(Duration::from_secs(1))).await;
        }
    }

    /// Keeps memory for the output of the next turn.
    fn keep(&self, mut output: Vec<u8>) {
        let outputs = &mut self.resources.borrow_mut().outputs;
        if outputs.len() < KEPT && output.capacity() > 0 {
            output.clear();
            outputs.push(output);
        }
    }

    pub(crate) async fn serve(self: Rc<Self>, stream: TcpStream) {
        let conversation = Conversation { worker: &self, stream: &stream, driver: Driver::new(Now::ask()) };
        // A client that is gone is routine.
        drop(conversation.run().await);
    }
}

#[derive(Debug)]
struct Conversation<'a, S> {
    worker: &'a Worker<S>,
    stream: &'a TcpStream,
    driver: Driver,
}

/// What a turn begins with.
enum Event {
    /// A read has ended; without bytes, so has the input.
    Read(Input),
    /// The last output has left, and there is more to do.
    Written,
    Timeout,
}

/// Received bytes: in a buffer that the kernel chose, or, when it had none left, in memory of their own.
enum Input {
    Chosen(BufferRef),
    Own(Vec<u8>),
    End,
}

impl Input {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Chosen(bytes) => bytes,
            Self::Own(bytes) => bytes,
            Self::End => &[],
        }
    }
}

impl<S: WorkerService> Conversation<'_, S> {
    async fn run(mut self) -> io::Result<()> {
        let mut alarm = Alarm::default();
        while !self.driver.connection().is_closed() {
            let event =
                if self.driver.wants_write() { Event::Written } else { self.next(&mut alarm).await? };
            let end = self.turn(&event)?;
            // A buffer goes back before the task waits.
            drop(event);
            self.send(end, &mut alarm).await?;
        }
        Ok(())
    }

    async fn next(&self, alarm: &mut Alarm) -> io::Result<Event> {
        let deadline = self.driver.connection().deadline(&self.worker.settings.timeouts);
        match alarm.before(deadline, self.read()).await {
            Some(input) => Ok(Event::Read(input?)),
            None => Ok(Event::Timeout),
        }
    }

    async fn read(&self) -> io::Result<Input> {
        let mut stream = self.stream;
        match stream.read_managed(0).await {
            Ok(bytes) => Ok(bytes.map_or(Input::End, Input::Chosen)),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                let BufResult(result, bytes) = stream.read(Vec::with_capacity(BUFFER)).await;
                result.map(|_| Input::Own(bytes))
            }
            Err(error) => Err(error),
        }
    }

    /// Calls the driver as a channel of the reactor does; the output waits in the result.
    fn turn(&mut self, event: &Event) -> io::Result<Outcome> {
        let Worker { service, settings, resources } = self.worker;
        let Resources { dates, spares, outputs } = &mut *resources.borrow_mut();
        let input = if let Event::Read(input) = event { Some(input.bytes()) } else { None };
        let mut io = Completions::new(self.stream.as_fd(), input, outputs.pop().unwrap_or_default());
        let mut cx = DriverContext {
            turn: Turn { now: Now::ask(), settings, dates },
            service,
            peer: PeerInfo { peer: Peer::Unix, listener: 0, connection: Key::from_bits(0), socket: -1 },
            frames: FRAMES_PER_TURN,
            spares,
            wide: &mut 0,
            log: None,
        };
        if matches!(event, Event::Timeout) {
            self.driver.on_timeout(&mut io, &mut cx)?;
        }
        self.driver.on_readable(&mut io, &mut cx)?;
        self.driver.flush(&mut io, &mut cx)?;
        Ok(io.into_outcome())
    }

    /// Sends the output of a turn, and then does what has to follow it.
    async fn send(&self, outcome: Outcome, alarm: &mut Alarm) -> io::Result<()> {
        let Outcome { mut output, ends, resets } = outcome;
        let mut stream = self.stream;
        if resets {
            return stream.set_zero_linger();
        }
        if !output.is_empty() {
            // The driver takes the output for sent. So the time of a client that does not read begins here.
            let deadline = Instant::now() + self.worker.settings.timeouts.write_idle;
            let written = alarm.before(Some(deadline), stream.write_all(output)).await;
            let BufResult(result, memory) = written.ok_or(io::ErrorKind::TimedOut)?;
            (output, _) = (memory, result?);
        }
        self.worker.keep(output);
        if ends { stream.shutdown().await } else { Ok(()) }
    }
}

/// A timer that is moved only when it goes off too early, as the deadline moves with every request.
#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// What it is set to.
    at: Option<Instant>,
}

impl Alarm {
    /// The result of `work`; `None` when the deadline comes first.
    async fn before<T>(&mut self, deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => self.poll(cx, deadline).map(|()| None),
        })
        .await
    }

    /// Whether the deadline has passed.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            if self.at.is_none_or(|at| at > deadline) {
                self.at = Some(deadline);
                self.sleep = Some(Box::pin(sleep_until(deadline.to_std())));
            }
            match self.sleep.as_mut().map(|sleep| sleep.as_mut().poll(cx)) {
                Some(Poll::Ready(())) if self.at.take() == Some(deadline) => return Poll::Ready(()),
                // It was set to an earlier one.
                Some(Poll::Ready(())) | None => {}
                Some(Poll::Pending) => return Poll::Pending,
            }
        }
    }
}
