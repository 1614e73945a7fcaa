//! asyncore's promises, and our intended differences, over select(2), poll(2) and mio: the tests that
//! `docs/DICTIONARY.md` names.

mod chat;
mod files;
mod hooks;
mod loops;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{TcpListener, TcpStream as StdStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::net::TcpStream;
use stheno::chat::{Chat, Handler, Terminator};
use stheno::clock::Now;
use stheno::reactor::{ChatChannel, Context, Dispatcher, SimpleLoop, Stream};

/// The limit for every wait of these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs turns until `done`.
pub(crate) fn turn_until(looping: &mut SimpleLoop, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "it does not come");
        looping.turn(Some(Duration::from_millis(100))).expect("turn");
    }
}

/// Both ends of a connection: a non-blocking one for a loop, and a blocking one for the peer.
pub(crate) fn pair() -> (TcpStream, StdStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let peer = StdStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let (ours, _) = listener.accept().expect("accept");
    ours.set_nonblocking(true).expect("non-blocking");
    peer.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    (TcpStream::from_std(ours), peer)
}

/// Echoes lines.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>);

impl Handler for Lines {
    fn collect_incoming_data(&mut self, _: &mut Chat, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    fn found_terminator(&mut self, chat: &mut Chat) {
        chat.push(b"echo: ");
        chat.push(&std::mem::take(&mut self.0));
        chat.push(b"\n");
    }
}

pub(crate) fn lines(socket: impl Into<Stream>) -> ChatChannel<Lines> {
    ChatChannel::new(socket, Chat::new(Terminator::bytes(b"\n")), Lines::default())
}

/// Counts the calls of `readable`.
#[derive(Debug)]
pub(crate) struct Counted(pub(crate) TcpStream, pub(crate) Rc<Cell<u64>>, pub(crate) Rc<Cell<u64>>);

impl Dispatcher for Counted {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn readable(&self) -> bool {
        self.1.set(self.1.get() + 1);
        true
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(bytes) = cx.recv(&mut self.0)? {
            self.2.set(self.2.get() + bytes.len() as u64);
        }
        Ok(())
    }
}

/// Has only default hooks, and does not want to write.
#[derive(Debug)]
pub(crate) struct Plain(TcpStream, Rc<RefCell<Vec<&'static str>>>);

impl Dispatcher for Plain {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(bytes) = cx.recv(&mut self.0)? {
            if bytes.is_empty() {
                cx.close();
                break;
            }
            self.1.borrow_mut().push("read");
        }
        Ok(())
    }

    fn handle_write(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        self.1.borrow_mut().push("write");
        Ok(())
    }

    fn handle_expt(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        self.1.borrow_mut().push("expt");
        Ok(())
    }

    fn handle_close(&mut self, _: Now) {
        self.1.borrow_mut().push("close");
    }
}

pub(crate) fn plain(looping: &mut SimpleLoop) -> (StdStream, Rc<RefCell<Vec<&'static str>>>) {
    let (ours, peer) = pair();
    let calls = Rc::<RefCell<Vec<&'static str>>>::default();
    looping.add(Plain(ours, Rc::clone(&calls))).expect("taken in");
    (peer, calls)
}
