//! What signals and the master ask of a worker.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;

use log::{debug, warn};
use mio::event::Source;

use crate::reactor::{Context, Dispatcher, FileWrapper};
use crate::sys::orders::{self, MasterOrder, PassedFile};
use crate::sys::signal::{Signal, Signals};

/// What signals, the master and its end ask for; the loop looks at it before every turn.
#[derive(Debug, Default)]
pub(super) struct Commands {
    pub(super) stop: Cell<bool>,
    pub(super) drain: Cell<bool>,
    /// Whether there is anything in what follows.
    pub(super) rare: Cell<bool>,
    /// Logs that the master has opened again.
    pub(super) logs: RefCell<Vec<PassedFile>>,
    /// Whether the recording is to be written now.
    pub(super) save: Cell<bool>,
    /// Whether a handler that is not the server's has noted a signal.
    pub(super) foreign: Cell<bool>,
}

/// mio asks for a number where [`Signals`] lends a descriptor.
#[derive(Debug)]
pub(super) struct SignalFd(pub(super) Signals);

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// The signals of this process, on the loop.
#[derive(Debug)]
pub(super) struct SignalChannel {
    pub(super) signals: FileWrapper<SignalFd>,
    pub(super) commands: Rc<Commands>,
}

impl Dispatcher for SignalChannel {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.signals
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.set_readable(false);
        let signals = &self.signals.0.0;
        let taken = signals.take(|signal| match signal {
            Signal::Terminate => self.commands.drain.set(true),
            Signal::Interrupt | Signal::Quit => self.commands.stop.set(true),
            Signal::User1 => {
                self.commands.save.set(true);
                self.commands.rare.set(true);
            }
            // Meant for the master: some tools signal all processes of one name.
            _ => {}
        });
        if signals.take_foreign() {
            self.commands.foreign.set(true);
            self.commands.rare.set(true);
        }
        taken
    }

    /// Stays open: the next signal is another try.
    fn handle_error(&mut self, _: &mut Context<'_>, error: &io::Error) {
        warn!("signals cannot be read: {error}");
    }

    /// Stays open: a signal may shorten the drain.
    fn handle_shutdown(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// The connection with the master, on the loop.
#[derive(Debug)]
pub(super) struct MasterLink {
    pub(super) socket: FileWrapper,
    pub(super) commands: Rc<Commands>,
}

impl Dispatcher for MasterLink {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.set_readable(false);
        let open = orders::receive(self.socket.0.as_fd(), |order| match order {
            MasterOrder::Drain => self.commands.drain.set(true),
            MasterOrder::Stop => self.commands.stop.set(true),
            MasterOrder::Log(handed) => {
                self.commands.logs.borrow_mut().push(handed);
                self.commands.rare.set(true);
            }
        });
        match open {
            Ok(true) => return Ok(()),
            Ok(false) => debug!("the master is gone"),
            // Nothing else would tell this worker that its master is gone.
            Err(error) => warn!("the line to the master fails, and this worker ends its service: {error}"),
        }
        self.commands.drain.set(true);
        Ok(())
    }

    fn handle_shutdown(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }
}
