//! Ctrl+C for the rungs on the reactor: a channel on the read end of a pipe; the signal handler writes to the
//! other end.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use mio::event::Source;
use stheno::reactor::{Context, Dispatcher, FileWrapper};
use stheno::sys::signal::{Signal, Signals};

/// Prints the lab's message and stops the loop at Ctrl+C, or `kill`.
#[derive(Debug)]
pub(crate) struct CtrlC {
    /// The number of the descriptor that `signals` holds open.
    source: FileWrapper<RawFd>,
    signals: Signals,
}

impl CtrlC {
    pub(crate) fn new() -> io::Result<Self> {
        let signals = Signals::install(&[Signal::Interrupt, Signal::Terminate])?;
        Ok(Self { source: FileWrapper(signals.as_fd().as_raw_fd()), signals })
    }
}

impl Dispatcher for CtrlC {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.source
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.signals.as_fd())
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.set_readable(false);
        self.signals.take(|_| {
            println!("Shutting down");
            cx.stop();
        })
    }
}
