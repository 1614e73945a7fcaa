//! The reactor without HTTP: echo servers, deadlines, wakes, panics; `turns` has what bounds a turn.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use mio::event::Source;
use stheno::chat::{Chat, Chunk, Handler, OutQueue, Producer, Terminator};
use stheno::clock::{Instant, Now};
use stheno::reactor::{
    AcceptMode, CallLater, ChatChannel, Context, Dispatcher, Hook, Listener, Probe, Reactor, Stream, transmit,
};
use stheno::recording::Ending;
use stheno::slab::Key;
use stheno::sys::socket;

mod recorded;
#[allow(dead_code, unreachable_pub, reason = "shared with the tests over the wire")]
#[path = "../support/rules.rs"]
mod rules;
mod turns;

use rules::holds;

/// Echoes until end of file.
#[derive(Debug)]
struct Echo {
    socket: Stream,
    output: OutQueue,
    read_closed: bool,
}

impl Dispatcher for Echo {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn readable(&self) -> bool {
        !self.read_closed && !self.output.is_above_high_water()
    }

    fn writable(&self) -> bool {
        !self.output.is_empty()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.readable() {
            match cx.recv(&mut self.socket)? {
                None => break,
                Some([]) => self.read_closed = true,
                Some(bytes) => self.output.push(bytes),
            }
        }
        self.handle_write(cx)
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        transmit(cx, &self.socket, &mut self.output)?;
        if self.read_closed && self.output.is_empty() {
            cx.close();
        }
        Ok(())
    }
}

/// Makes a channel of every connection, and stops listening after `left` of them.
#[derive(Debug)]
struct Acceptor<F> {
    listener: Listener,
    left: usize,
    make: F,
}

trait Make: Fn(Stream, &mut Context<'_>) {}
impl<F: Fn(Stream, &mut Context<'_>)> Make for F {}

struct AcceptorOf<F>(Acceptor<F>);

impl<F> std::fmt::Debug for AcceptorOf<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AcceptorOf({})", self.0.left)
    }
}

impl<F: Make> Dispatcher for AcceptorOf<F> {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0.listener
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Acceptor { listener, left, make } = &mut self.0;
        listener.accept(cx, &(), |cx, stream, _| {
            *left -= 1;
            make(stream, cx);
        })?;
        if *left == 0 {
            cx.close();
        }
        Ok(())
    }

    fn is_shared(&self) -> bool {
        true
    }
}

/// Has the reactor serve this number of connections, each with the channel that `make` adopts, and then stop listening.
fn serve<P: Probe>(
    reactor: &mut Reactor<P>,
    mode: AcceptMode,
    connections: usize,
    make: impl Make + 'static,
) -> SocketAddr {
    let listener = socket::listen(([127, 0, 0, 1], 0).into(), 128, false).expect("a listener");
    let address = listener.local_addr().expect("an address");
    reactor.add(AcceptorOf(Acceptor { listener: Listener::new(listener, mode), left: connections, make }));
    address
}

fn echo(socket: Stream, cx: &mut Context<'_>) {
    cx.adopt(Echo { socket, output: OutQueue::new(), read_closed: false });
}

fn connect(address: SocketAddr) -> StdStream {
    let stream = StdStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    stream
}

#[test]
fn an_echo_server_ends_when_its_clients_have_gone() {
    for mode in [AcceptMode::Exclusive, AcceptMode::Shared] {
        let mut reactor = Reactor::new().expect("a reactor");
        let address = serve(&mut reactor, mode, 20, echo);
        let clients: Vec<_> = (0..20u32)
            .map(|number| {
                thread::spawn(move || {
                    // More than a socket holds, so that both sides wait for each other now and then.
                    let content: Vec<u8> =
                        (0..3_000_000).map(|n: u32| (n ^ number).to_le_bytes()[0]).collect();
                    let mut writer = connect(address);
                    let mut reader = writer.try_clone().expect("a clone");
                    let sent = content.clone();
                    let sender = thread::spawn(move || {
                        writer.write_all(&sent).expect("send");
                        writer.shutdown(std::net::Shutdown::Write).expect("shutdown");
                    });
                    let mut received = Vec::new();
                    reader.read_to_end(&mut received).expect("read");
                    sender.join().expect("the sender");
                    assert!(received == content);
                })
            })
            .collect();
        reactor.run().expect("run");
        assert!(reactor.is_empty());
        clients.into_iter().for_each(|client| client.join().expect("a client"));
    }
}

/// A line echo on `Chat`, which finds the lines and queues the output.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Handler for Lines {
    fn collect_incoming_data(&mut self, _: &mut Chat, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    fn found_terminator(&mut self, chat: &mut Chat) {
        chat.push(b"echo: ");
        chat.push(&std::mem::take(&mut self.0));
        chat.push(b"\r\n");
    }
}

#[test]
fn a_line_echo_on_chat() {
    let mut reactor = Reactor::new().expect("a reactor");
    let address = serve(&mut reactor, AcceptMode::Exclusive, 1, |stream, cx| {
        cx.adopt(ChatChannel::new(stream, Chat::new(Terminator::bytes(b"\r\n")), Lines::default()));
    });
    let client = thread::spawn(move || {
        let mut stream = connect(address);
        for piece in ["one\r", "\ntwo", "\r\nthr", "ee\r\nunfinished"] {
            stream.write_all(piece.as_bytes()).expect("send");
        }
        stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        text
    });
    reactor.run().expect("run");
    assert_eq!(client.join().expect("the client"), "echo: one\r\necho: two\r\necho: three\r\n");
}

/// Closes at its deadline, which each input moves.
#[derive(Debug)]
struct Waiting {
    socket: Stream,
    deadline: Instant,
    moved: bool,
    ended: Rc<RefCell<Vec<Instant>>>,
}

impl Dispatcher for Waiting {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(bytes) = cx.recv(&mut self.socket)? {
            if bytes.is_empty() {
                cx.close();
                break;
            }
            self.deadline = self.deadline + Duration::from_millis(60);
            self.moved = true;
        }
        Ok(())
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        assert!(cx.now().monotonic >= self.deadline, "never early");
        self.ended.borrow_mut().push(self.deadline);
        cx.close();
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

#[test]
fn deadlines() {
    let mut reactor = Reactor::new().expect("a reactor");
    let ended = Rc::new(RefCell::new(Vec::new()));
    let (start, log) = (Instant::now(), Rc::clone(&ended));
    let address = serve(&mut reactor, AcceptMode::Exclusive, 2, move |socket, cx| {
        cx.adopt(Waiting {
            socket,
            deadline: start + Duration::from_millis(100),
            moved: false,
            ended: Rc::clone(&log),
        });
    });
    let (_quiet, mut busy) = (connect(address), connect(address));
    busy.write_all(b"x").expect("send");
    reactor.run().expect("run");
    let mut ended = ended.borrow().clone();
    ended.sort();
    assert_eq!(ended, [start + Duration::from_millis(100), start + Duration::from_millis(160)]);
}

/// Panics on `!`, echoes nothing.
#[derive(Debug)]
struct Touchy(Stream);

impl Dispatcher for Touchy {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match cx.recv(&mut self.0)? {
            Some(b"!") => panic!("a panic on purpose"),
            Some([]) => cx.close(),
            _ => {}
        }
        Ok(())
    }
}

/// RULES D29: a panic costs its own channel only.
#[test]
fn a_panic_drops_one_channel() {
    let mut reactor = Reactor::new().expect("a reactor");
    let address = serve(&mut reactor, AcceptMode::Exclusive, 2, |socket, cx| cx.adopt(Touchy(socket)));
    let client = thread::spawn(move || {
        let (mut calm, mut loud) = (connect(address), connect(address));
        loud.write_all(b"!").expect("send");
        assert_eq!(loud.read(&mut [0]).expect("closed"), 0);
        calm.write_all(b"?").expect("the other one lives");
    });
    reactor.run().expect("run");
    client.join().expect("the client");
}

#[derive(Debug)]
struct Sleeper {
    socket: Stream,
    key: Rc<Cell<Option<Key>>>,
    woken: Rc<Cell<u32>>,
}

impl Dispatcher for Sleeper {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.key.set(Some(cx.key()));
        while cx.recv(&mut self.socket)?.is_some_and(|bytes| !bytes.is_empty()) {}
        Ok(())
    }

    fn handle_wake(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.woken.set(self.woken.get() + 1);
        cx.close();
        Ok(())
    }
}

#[test]
fn another_thread_wakes_a_channel() {
    let mut reactor = Reactor::new().expect("a reactor");
    let (key, woken) = (Rc::<Cell<Option<Key>>>::default(), Rc::<Cell<u32>>::default());
    let (its_key, its_count) = (Rc::clone(&key), Rc::clone(&woken));
    let address = serve(&mut reactor, AcceptMode::Exclusive, 1, move |socket, cx| {
        cx.adopt(Sleeper { socket, key: Rc::clone(&its_key), woken: Rc::clone(&its_count) });
    });
    let _client = connect(address);
    while key.get().is_none() {
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
    }
    let (waker, key) = (reactor.waker(), key.get().expect("a key"));
    let other = thread::spawn(move || {
        waker.wake(key).expect("wake");
        waker.wake(key).expect("twice: the second finds no channel");
    });
    reactor.run().expect("run");
    other.join().expect("the other thread");
    assert_eq!(woken.get(), 1);
}

/// Writes down what the reactor does.
#[derive(Debug, Default)]
struct Notes {
    accepted: u32,
    closed: u32,
    polls: u32,
    hooks: Vec<Hook>,
    depth: i32,
}

impl Probe for Notes {
    fn poll_enter(&mut self, _: usize, _: Option<Duration>) {
        assert_eq!(self.depth, 0, "never polls inside a hook");
        self.polls += 1;
    }
    fn hook_enter(&mut self, _: Key, hook: Hook) {
        self.depth += 1;
        self.hooks.push(hook);
    }
    fn hook_exit(&mut self, _: Key, _: Hook, _: Ending) {
        self.depth -= 1;
    }
    fn add(&mut self, _: Key, _: &dyn Dispatcher) {
        self.accepted += 1;
    }
    fn close(&mut self, _: Key, unsent: u64, _: bool) {
        assert_eq!(unsent, 0);
        self.closed += 1;
    }
}

#[test]
fn a_probe_sees_everything() {
    let mut reactor = Reactor::with_probe(Notes::default()).expect("a reactor");
    let address = serve(&mut reactor, AcceptMode::Exclusive, 1, echo);
    let client = thread::spawn(move || {
        let mut stream = connect(address);
        stream.write_all(b"hello").expect("send");
        stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        text
    });
    reactor.run().expect("run");
    assert_eq!(client.join().expect("the client"), "hello");
    let notes = reactor.probe();
    assert_eq!((notes.accepted, notes.closed), (2, 2), "the listener and the connection");
    assert!(notes.polls > 0 && notes.hooks.contains(&Hook::Read));
}

/// `stop` ends `run` although channels are left; `close_all` closes them.
#[test]
fn stop_and_close_all() {
    #[derive(Debug)]
    struct Stopper(Stream, Rc<Cell<bool>>);
    impl Dispatcher for Stopper {
        fn socket(&mut self) -> &mut dyn Source {
            &mut self.0
        }
        fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
            cx.stop();
            Ok(())
        }
        fn handle_close(&mut self, _: Now) {
            self.1.set(true);
        }
    }
    let mut reactor = Reactor::new().expect("a reactor");
    let closed = Rc::<Cell<bool>>::default();
    let its_closed = Rc::clone(&closed);
    let address = serve(&mut reactor, AcceptMode::Shared, 5, move |socket, cx| {
        cx.adopt(Stopper(socket, Rc::clone(&its_closed)));
    });
    let _client = connect(address);
    reactor.run().expect("run");
    assert_eq!(reactor.len(), 2);
    assert!(!closed.get());
    reactor.close_all();
    assert!(reactor.is_empty() && closed.get());
}
