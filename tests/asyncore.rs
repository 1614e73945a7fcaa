//! asyncore's promises, and where we differ from it on purpose, over select(2), poll(2) and mio: the tests that
//! `docs/DICTIONARY.md` names.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream as StdStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::Level;
use mio::event::Source;
use mio::net::TcpStream;
use stheno::chat::{Chat, Handler, Terminator};
use stheno::clock::Now;
use stheno::reactor::{
    AcceptMode, ChatChannel, Context, Dispatcher, DispatcherWithSend, FileDispatcher, Listener, Poller,
    SimpleLoop,
};
use stheno::sys::socket;

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Turns until `done`.
fn turn_until(looping: &mut SimpleLoop, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "it does not come");
        looping.turn(Some(Duration::from_millis(100))).expect("turn");
    }
}

/// Both ends of a connection: ours for a loop, the peer's blocking.
fn pair() -> (TcpStream, StdStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let peer = StdStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let (ours, _) = listener.accept().expect("accept");
    ours.set_nonblocking(true).expect("non-blocking");
    peer.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    (TcpStream::from_std(ours), peer)
}

/// Answers lines.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

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

fn lines(socket: TcpStream) -> ChatChannel<Lines> {
    ChatChannel::new(socket, Chat::new(Terminator::bytes(b"\n")), Lines::default())
}

/// Accepts so many, then closes.
#[derive(Debug)]
struct Acceptor(Listener, usize);

impl Dispatcher for Acceptor {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Self(listener, left) = self;
        listener.accept(cx, &(), |cx, stream, _| {
            *left -= 1;
            cx.adopt(lines(stream));
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

#[test]
fn the_same_channels_run_over_every_poller() {
    const CLIENTS: usize = 20;
    for poller in Poller::ALL {
        assert_eq!(poller.to_string().parse(), Ok(poller));
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let listener = socket::listen(([127, 0, 0, 1], 0).into(), 128, false).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let listener = Listener::new(listener, AcceptMode::Exclusive);
        looping.add(Acceptor(listener, CLIENTS)).expect("taken in");
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                std::thread::spawn(move || {
                    let mut stream = StdStream::connect(address).expect("connect");
                    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                    // More than one read's worth, and more than a queue may hold, both ways.
                    let line = vec![b'a' + u8::try_from(number).expect("small"); 300_000];
                    for _ in 0..3 {
                        let mut writer = stream.try_clone().expect("a clone");
                        let sent = line.clone();
                        let sender = std::thread::spawn(move || {
                            writer.write_all(&sent).and_then(|()| writer.write_all(b"\n")).expect("send");
                        });
                        let mut answer = vec![0; 6 + line.len() + 1];
                        stream.read_exact(&mut answer).expect("an answer");
                        assert!(answer.starts_with(b"echo: ") && answer[6..].starts_with(&line));
                        sender.join().expect("the sender");
                    }
                })
            })
            .collect();
        looping.run(PATIENCE, None).expect("run");
        assert!(looping.is_empty(), "{poller}");
        clients.into_iter().for_each(|client| client.join().expect("a client"));
    }
    assert_eq!("epoll".parse::<Poller>(), Err("'epoll' is no way to wait; use select, poll or mio".into()));
}

/// Counts how often it is asked whether it wants to read.
#[derive(Debug)]
struct Counted(TcpStream, Rc<Cell<u64>>, Rc<Cell<u64>>);

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

/// The lesson: a hundred who wait and one who talks. Who asks everyone pays for the hundred in every turn.
#[test]
fn who_asks_pays_for_the_idle_and_who_is_told_does_not() {
    const TURNS: u64 = 50;
    let mut asked = Vec::new();
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (count, bytes) = (Rc::<Cell<u64>>::default(), Rc::<Cell<u64>>::default());
        let mut peers = Vec::new();
        for _ in 0..100 {
            let (ours, peer) = pair();
            looping.add(Counted(ours, Rc::clone(&count), Rc::clone(&bytes))).expect("taken in");
            peers.push(peer);
        }
        // New sockets have news of their own, that they can be written.
        looping.run(Duration::from_millis(20), Some(3)).expect("run");
        count.set(0);
        for turn in 1..=TURNS {
            peers[7].write_all(b"x").expect("send");
            turn_until(&mut looping, || bytes.get() == turn);
        }
        asked.push(count.get());
    }
    let [by_select, by_poll, told] = asked[..] else { panic!("three pollers") };
    assert!(by_select >= 100 * TURNS && by_poll >= 100 * TURNS, "{by_select}, {by_poll}");
    assert!((TURNS..10 * TURNS).contains(&told), "{told}: of those that are ready only");
}

#[test]
fn run_counts_its_turns_and_waits_no_longer_than_it_is_told() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        looping.run(PATIENCE, None).expect("nobody is there: no turn at all");
        let (ours, _peer) = pair();
        looping.add(lines(ours)).expect("taken in");
        looping.turn(Some(Duration::ZERO)).expect("turn");
        let begun = Instant::now();
        looping.run(Duration::from_millis(20), Some(3)).expect("run");
        assert!(begun.elapsed() >= Duration::from_millis(60), "{poller}: {:?}", begun.elapsed());
        assert_eq!(looping.len(), 1);
        looping.run(PATIENCE, Some(0)).expect("run");
    }
}

/// Says nothing of itself, and never wants to write.
#[derive(Debug)]
struct Plain(TcpStream, Rc<RefCell<Vec<&'static str>>>);

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

fn plain(looping: &mut SimpleLoop) -> (StdStream, Rc<RefCell<Vec<&'static str>>>) {
    let (ours, peer) = pair();
    let calls = Rc::<RefCell<Vec<&'static str>>>::default();
    looping.add(Plain(ours, Rc::clone(&calls))).expect("taken in");
    (peer, calls)
}

/// In Python `writable()` is true by default, so a loop of such dispatchers never waits.
#[test]
fn nobody_is_called_to_write_who_has_not_asked_for_it() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (_peer, calls) = plain(&mut looping);
        looping.run(Duration::from_millis(10), Some(3)).expect("run");
        assert!(calls.borrow().is_empty(), "{poller}: {calls:?}");
    }
}

/// In Python it is called when the peer has gone and has to close; here it is the last call, whoever closes.
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

/// Urgent data is told by select(2) and poll(2); the reactor does not ask for it.
#[test]
fn urgent_data_is_told_by_select_and_poll_only() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (peer, calls) = plain(&mut looping);
        let peer = socket2::Socket::from(peer);
        peer.send_out_of_band(b"!").expect("send");
        let is_told = |calls: &[&str]| calls.contains(&"expt");
        if poller != Poller::Mio {
            turn_until(&mut looping, || is_told(&calls.borrow()));
        }
        peer.send(b"x").expect("send");
        turn_until(&mut looping, || calls.borrow().contains(&"read"));
        assert_eq!(is_told(&calls.borrow()), poller != Poller::Mio, "{poller}");
    }
}

/// asyncore closes on `POLLHUP` as soon as it has read once; what is behind that read is lost.
#[test]
fn what_stands_before_a_hang_up_is_read() {
    const BYTES: u64 = 600_000;
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (ours, mut peer) = pair();
        socket2::SockRef::from(&ours).set_recv_buffer_size(1 << 20).expect("a large buffer");
        let (asked, bytes) = (Rc::<Cell<u64>>::default(), Rc::<Cell<u64>>::default());
        // The socket shuts both halves before it reads: that is a hang-up.
        peer.write_all(&vec![b'x'; usize::try_from(BYTES).expect("a size")]).expect("send");
        peer.shutdown(Shutdown::Write).expect("shutdown");
        ours.shutdown(Shutdown::Write).expect("shutdown");
        looping.add(Counted(ours, asked, Rc::clone(&bytes))).expect("taken in");
        turn_until(&mut looping, || bytes.get() == BYTES);
    }
}

/// Without its descriptor a channel cannot be asked about; select(2) does not take every one.
#[test]
fn select_and_poll_need_the_descriptor() {
    #[derive(Debug)]
    struct Mute(TcpStream);
    impl Dispatcher for Mute {
        fn socket(&mut self) -> &mut dyn Source {
            &mut self.0
        }
    }
    for poller in [Poller::Select, Poller::Poll] {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let error = looping.add(Mute(pair().0)).expect_err("it says nothing of itself");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(looping.is_empty());
    }
    SimpleLoop::new(Poller::Mio).expect("a loop").add(Mute(pair().0)).expect("mio asks the source");
}

/// Reads a pipe to its end.
#[derive(Debug)]
struct Reader(FileDispatcher, Rc<RefCell<Vec<u8>>>);

impl Dispatcher for Reader {
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
            self.1.borrow_mut().extend_from_slice(bytes);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Writer(FileDispatcher, Vec<u8>);

impl Dispatcher for Writer {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn readable(&self) -> bool {
        false
    }

    fn writable(&self) -> bool {
        true
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(count) = cx.write(&mut self.0, &self.1)? {
            self.1.drain(..count);
            if self.1.is_empty() {
                cx.close();
                break;
            }
        }
        Ok(())
    }
}

#[test]
fn pipes_are_channels_like_any_other() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        // Blocking ends, as a program inherits them, and more than a pipe holds.
        let (read, write) = io::pipe().expect("a pipe");
        let content: Vec<u8> = (0..1_000_000u32).map(|number| number.to_le_bytes()[1]).collect();
        let copied = Rc::<RefCell<Vec<u8>>>::default();
        let (read, write) = (FileDispatcher::new(read), FileDispatcher::new(write));
        looping.add(Writer(write.expect("a pipe's end"), content.clone())).expect("taken in");
        looping.add(Reader(read.expect("a pipe's end"), Rc::clone(&copied))).expect("taken in");
        looping.run(PATIENCE, None).expect("run");
        assert!(*copied.borrow() == content, "{poller}: {} bytes", copied.borrow().len());
    }
}

/// asyncore could be given a file, and select(2) calls it ready at any time; epoll says what that is worth.
#[test]
fn a_regular_file_is_refused_by_epoll() {
    #[derive(Debug)]
    struct Idle(FileDispatcher);
    impl Dispatcher for Idle {
        fn socket(&mut self) -> &mut dyn Source {
            &mut self.0
        }
        fn fileno(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }
        fn readable(&self) -> bool {
            false
        }
    }
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let file = FileDispatcher::new(tempfile::tempfile().expect("a file")).expect("a file");
        looping.add(Idle(file)).expect("taken in");
        let refuses = poller == Poller::Mio && cfg!(target_os = "linux");
        assert_eq!(looping.is_empty(), refuses, "{poller}");
    }
}

/// Shouts back.
#[derive(Debug)]
struct Shout(DispatcherWithSend, bool);

impl Dispatcher for Shout {
    fn socket(&mut self) -> &mut dyn Source {
        self.0.socket()
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn readable(&self) -> bool {
        !self.1
    }

    fn writable(&self) -> bool {
        self.0.writable()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(bytes) = self.0.recv(cx)? {
            if bytes.is_empty() {
                self.1 = true;
                break;
            }
            // Ten times as much as has come: the socket will be full.
            let loud = bytes.to_ascii_uppercase().repeat(10);
            self.0.send(cx, &loud)?;
        }
        self.handle_write(cx)
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.0.initiate_send(cx)?;
        if self.1 && !self.0.writable() {
            cx.close();
        }
        Ok(())
    }
}

#[test]
fn a_dispatcher_with_send_sends_everything() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (ours, peer) = pair();
        looping.add(Shout(DispatcherWithSend::new(ours), false)).expect("taken in");
        let mut writer = peer.try_clone().expect("a clone");
        let mut reader = peer;
        let sender = std::thread::spawn(move || {
            writer.write_all(&vec![b'a'; 1 << 20]).expect("send");
            writer.shutdown(Shutdown::Write).expect("shutdown");
        });
        let receiver = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).expect("read");
            all
        });
        looping.run(PATIENCE, None).expect("run");
        sender.join().expect("the sender");
        let all = receiver.join().expect("the receiver");
        assert!(all.len() == 10 << 20 && all.iter().all(|byte| *byte == b'A'), "{poller}: {}", all.len());
    }
}

/// asynchat closes at the peer's end of file, and drops what waits; here the peer gets it.
#[test]
fn a_peer_that_closed_its_half_still_gets_everything() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (ours, mut peer) = pair();
        let line = vec![b'x'; 5_000_000];
        let receiver = std::thread::spawn(move || {
            peer.write_all(&line).and_then(|()| peer.write_all(b"\n")).expect("send");
            peer.shutdown(Shutdown::Write).expect("shutdown");
            let mut all = Vec::new();
            peer.read_to_end(&mut all).expect("read");
            all.len()
        });
        looping.add(lines(ours)).expect("taken in");
        looping.run(PATIENCE, None).expect("run");
        assert_eq!(receiver.join().expect("the receiver"), 5_000_007, "{poller}");
    }
}

/// There is no `handle_connect`: a socket that connects has no room until it is through, and that is all.
#[test]
fn a_chat_may_begin_before_it_is_connected() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let socket = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        let mut chat = Chat::new(Terminator::bytes(b"\n"));
        chat.push(b"hello\n");
        looping.add(ChatChannel::new(socket, chat, Lines::default())).expect("taken in");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
            let mut greeting = [0; 6];
            stream.read_exact(&mut greeting).expect("the greeting");
            stream.write_all(b"welcome\n").expect("send");
            let mut answer = [0; 14];
            stream.read_exact(&mut answer).expect("the answer");
            [&greeting[..], &answer].concat()
        });
        looping.run(PATIENCE, None).expect("run");
        assert_eq!(server.join().expect("the server"), b"hello\necho: welcome\n", "{poller}");
    }
}

/// Writes down its lines.
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

/// An error closes its channel and is told through `log_info`, which may be overridden, as in Python; the lines go
/// to the log there, not to standard output. The refused connection is the error.
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

/// Closes when its time is over, or stops the loop.
#[derive(Debug)]
struct Timed(TcpStream, Instant, Rc<Cell<bool>>);

impl Dispatcher for Timed {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.1)
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        assert!(cx.now().monotonic >= self.1, "never early");
        let seen = Rc::clone(&self.2);
        cx.call_later(Duration::from_millis(30), move |cx| {
            seen.set(true);
            cx.stop();
        });
        cx.close();
        Ok(())
    }
}

#[test]
fn deadlines_and_calls_come_over_every_poller() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (begun, ticks) = (Instant::now(), Rc::<Cell<u32>>::default());
        let (last, its_ticks) = (Rc::<Cell<bool>>::default(), Rc::clone(&ticks));
        let every =
            looping.call_every(Duration::from_millis(10), move |_| its_ticks.set(its_ticks.get() + 1));
        let never = looping.call_later(Duration::from_millis(20), |_| unreachable!("it is cancelled"));
        assert!(looping.cancel(never) && !looping.cancel(never));
        let (ours, _peer) = pair();
        let (stays, _stays) = pair();
        looping.add(Timed(ours, begun + Duration::from_millis(40), Rc::clone(&last))).expect("taken in");
        looping.add(lines(stays)).expect("taken in");
        looping.run(PATIENCE, None).expect("run");
        assert!(last.get() && begun.elapsed() >= Duration::from_millis(70), "{poller}");
        assert_eq!(looping.len(), 1, "stopped, though somebody is there");
        assert!((1..=7).contains(&ticks.get()), "{poller}: {} ticks", ticks.get());
        assert!(looping.cancel(every));
    }
}

/// As an exception that nobody catches does in asyncore.
#[test]
fn a_panic_costs_its_channel_over_every_poller() {
    #[derive(Debug)]
    struct Touchy(TcpStream);
    impl Dispatcher for Touchy {
        fn socket(&mut self) -> &mut dyn Source {
            &mut self.0
        }
        fn fileno(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }
        fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
            assert!(cx.recv(&mut self.0)?.is_none(), "a panic on purpose");
            Ok(())
        }
    }
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (ours, mut peer) = pair();
        let (calm, _calm) = pair();
        looping.add(Touchy(ours)).expect("taken in");
        looping.add(lines(calm)).expect("taken in");
        peer.write_all(b"!").expect("send");
        let end = Instant::now() + PATIENCE;
        while looping.len() == 2 {
            assert!(Instant::now() < end, "{poller}");
            looping.turn(Some(Duration::from_millis(100))).expect("turn");
        }
        assert_eq!(looping.len(), 1, "{poller}");
    }
}
