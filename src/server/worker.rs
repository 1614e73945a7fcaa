//! One worker process: its loop, and how it ends.

use std::cell::Cell;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{debug, info};
use mio::event::Source;

use super::{Acceptor, Shared};
use crate::http1::Service;
use crate::reactor::{AcceptMode, Context, Dispatcher, FileWrapper, Listener, Reactor};
use crate::sys::descriptor::drain_pipe;
use crate::sys::signal::{Signal, Signals};

/// What a worker is given.
#[derive(Debug)]
pub struct Worker<S> {
    /// What its connections share.
    pub shared: Shared<S>,
    /// The sockets it accepts from.
    pub listeners: Vec<TcpListener>,
    /// How it shares them with the other workers.
    pub accept: AcceptMode,
    /// The reading end of a pipe whose other end only the master holds: its end is the master's.
    pub life: OwnedFd,
    /// How long answers may take once it has been told to drain.
    pub grace: Duration,
}

/// What the signals and the master's end ask for; `run` looks at it after every turn.
#[derive(Debug, Default)]
struct Orders {
    stop: Cell<bool>,
    drain: Cell<bool>,
}

/// Serves until it is told to stop. SIGTERM, and the end of the master, mean: accept no more, finish the
/// answers that are due, close. SIGINT and SIGQUIT mean: close.
///
/// # Errors
/// When the loop cannot be set up or the kernel refuses to wait; the process cannot serve.
pub fn run<S: Service + std::fmt::Debug + 'static>(worker: Worker<S>) -> io::Result<()> {
    let signals = Signals::install(&[Signal::Interrupt, Signal::Quit, Signal::Terminate])?;
    let mut reactor = Reactor::new()?;
    let orders = Rc::new(Orders::default());
    reactor.add(SignalChannel { signals: FileWrapper(SignalFd(signals)), orders: Rc::clone(&orders) });
    reactor.add(LifeLine { pipe: FileWrapper(worker.life), orders: Rc::clone(&orders) });
    let housekeepers = reactor.len();
    let shared = Rc::new(worker.shared);
    for listener in worker.listeners {
        reactor.add(Acceptor::new(Listener::new(listener, worker.accept), Rc::clone(&shared)));
    }
    let mut drained_by: Option<Instant> = None;
    loop {
        let timeout = drained_by.map(|at| at.saturating_duration_since(Instant::now()));
        reactor.turn(timeout)?;
        if let Some(log) = &shared.log {
            log.borrow_mut().flush();
        }
        if orders.drain.get() && drained_by.is_none() {
            drained_by = Some(Instant::now() + worker.grace);
            reactor.shutdown();
            info!("draining {} connections", reactor.len().saturating_sub(housekeepers));
        }
        let drained = reactor.len() <= housekeepers;
        if orders.stop.get() || drained_by.is_some_and(|at| drained || at <= Instant::now()) {
            break;
        }
    }
    // Closes every connection, which logs what each still had on its way.
    reactor.close_all();
    if let Some(log) = &shared.log {
        log.borrow_mut().flush();
    }
    Ok(())
}

/// mio asks for a number where [`Signals`] gives a borrow.
#[derive(Debug)]
struct SignalFd(Signals);

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// The signals of this process, on the loop.
#[derive(Debug)]
struct SignalChannel {
    signals: FileWrapper<SignalFd>,
    orders: Rc<Orders>,
}

impl Dispatcher for SignalChannel {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.signals
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.set_readable(false);
        self.signals.0.0.take(|signal| match signal {
            Signal::Terminate => self.orders.drain.set(true),
            Signal::Interrupt | Signal::Quit => self.orders.stop.set(true),
            Signal::Child => {}
        })
    }

    /// Stays, for the signal that shortens a drain.
    fn handle_shutdown(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// The pipe that ends with the master.
#[derive(Debug)]
struct LifeLine {
    pipe: FileWrapper,
    orders: Rc<Orders>,
}

impl Dispatcher for LifeLine {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.pipe
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.set_readable(false);
        if !drain_pipe(self.pipe.0.as_fd(), |_| {})? && !self.orders.drain.get() {
            debug!("the master is gone");
            self.orders.drain.set(true);
        }
        Ok(())
    }

    fn handle_shutdown(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }
}
