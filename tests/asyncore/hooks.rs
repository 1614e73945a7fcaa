//! The hooks of a dispatcher, and when they are called.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::Level;
use mio::event::Source;
use mio::net::TcpStream;
use stheno::reactor::{Context, Dispatcher, Poller, SimpleLoop};

use crate::{plain, turn_until};

/// In Python `writable()` is true by default, so a loop of such dispatchers never waits.
#[test]
fn handle_write_needs_writable() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (_peer, calls) = plain(&mut looping);
        looping.run(Duration::from_millis(10), Some(3)).expect("run");
        assert!(calls.borrow().is_empty(), "{poller}: {calls:?}");
    }
}

/// In Python it is called when the peer has closed, and has to close the channel; here it is the last call of
/// each close.
#[test]
fn handle_close_is_called_once_at_every_close() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (peer, calls) = plain(&mut looping);
        let (_other, others_calls) = plain(&mut looping);
        drop(peer);
        turn_until(&mut looping, || *calls.borrow() == ["close"]);
        assert!(others_calls.borrow().is_empty());
        looping.close_all();
        assert_eq!(*others_calls.borrow(), ["close"], "{poller}");
        assert!(looping.is_empty());
    }
}

/// select(2) and poll(2) report urgent data once (asyncore reports it in every turn until it has been read);
/// the reactor does not ask for it.
#[test]
fn urgent_data_is_told_once_by_select_and_poll_only() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (peer, calls) = plain(&mut looping);
        let peer = socket2::Socket::from(peer);
        let told = || calls.borrow().iter().filter(|call| **call == "expt").count();
        peer.send_out_of_band(b"!").expect("send");
        if poller != Poller::Mio {
            turn_until(&mut looping, || told() == 1);
        }
        // The urgent byte stays unread. These turns wait, and do not spin.
        let begun = Instant::now();
        looping.run(Duration::from_millis(10), Some(4)).expect("run");
        assert!(begun.elapsed() >= Duration::from_millis(20), "{poller}: {calls:?}");
        peer.send(b"x").expect("send");
        turn_until(&mut looping, || calls.borrow().contains(&"read"));
        assert_eq!(told(), usize::from(poller != Poller::Mio), "{poller}: {calls:?}");
    }
}

/// Records its lines.
struct Logging(TcpStream, Rc<RefCell<Vec<String>>>);

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logging")
    }
}

impl Dispatcher for Logging {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while cx.recv(&mut self.0)?.is_some_and(|bytes| !bytes.is_empty()) {}
        Ok(())
    }

    fn log_info(&self, level: Level, message: fmt::Arguments<'_>) {
        self.1.borrow_mut().push(format!("{level} {message}"));
    }
}

/// An error closes its channel and is reported by `log_info`, which can be overridden, as in Python. By default
/// the lines go to the log instead of standard output. The refused connection is the error.
#[test]
fn what_goes_wrong_is_said_through_log_info() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let refusing =
            TcpListener::bind("127.0.0.1:0").expect("a listener").local_addr().expect("an address");
        let socket = TcpStream::connect(refusing).expect("it is refused later");
        let said = Rc::<RefCell<Vec<String>>>::default();
        let channel = Logging(socket, Rc::clone(&said));
        channel.log(format_args!("a hit"));
        looping.add(channel).expect("taken in");
        turn_until(&mut looping, || said.borrow().len() == 2);
        let said = said.borrow();
        assert_eq!(said[0], "INFO a hit");
        assert!(said[1].starts_with("DEBUG ") && said[1].contains("refused"), "{poller}: {said:?}");
        assert!(looping.is_empty(), "{poller}");
    }
}
