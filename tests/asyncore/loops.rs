//! The loops: what they cost, when they end, and in which order they call.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream as StdStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use stheno::asyncore::{Poller, SimpleLoop};
use stheno::clock::Instant;
use stheno::reactor::{AcceptMode, CallLater, Context, Dispatcher, Listener};
use stheno::sys::socket;

use crate::{Counted, PATIENCE, lines, pair, plain, turn_until};

/// Accepts a number of connections, then closes.
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

/// A hundred channels wait and one has input. A loop that asks every channel pays for the hundred in every turn.
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
        looping.run(PATIENCE, None).expect("no channel, no turn");
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

/// select(2) and poll(2) need a descriptor, and select(2) does not take every one.
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

/// asyncore closes on `POLLHUP` as soon as it has read once; what follows that read is lost.
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

/// Closes at its deadline, and stops the loop later.
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
        assert_eq!(looping.len(), 1, "stopped with a channel left");
        // Seven, unless the machine is busy and the last call late.
        let most = begun.elapsed().as_millis() / 10;
        assert!((1..=most).contains(&ticks.get().into()), "{poller}: {} ticks", ticks.get());
        assert!(looping.cancel(every));
    }
}

/// As an exception that no hook catches does in asyncore.
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

/// There is no global map: what one loop does is nothing to another.
#[test]
fn two_loops_know_nothing_of_each_other() {
    for poller in Poller::ALL {
        let mut one = SimpleLoop::new(poller).expect("a loop");
        let mut other = SimpleLoop::new(poller).expect("a loop");
        let ((_peer, calls), (_others, others_calls)) = (plain(&mut one), plain(&mut other));
        one.close_all();
        assert!(one.is_empty() && *calls.borrow() == ["close"]);
        assert!(other.len() == 1 && others_calls.borrow().is_empty());
    }
}

/// asyncore waits for the next turn; here a new channel is called at once, as if it were ready.
#[test]
fn a_channel_that_is_taken_in_is_called_at_once() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (ours, mut peer) = pair();
        peer.write_all(b"early").expect("send");
        let (asked, bytes) = (Rc::<Cell<u64>>::default(), Rc::<Cell<u64>>::default());
        looping.add(Counted(ours, asked, Rc::clone(&bytes))).expect("taken in");
        assert_eq!(bytes.get(), 5, "{poller}");
    }
}

/// What the channels write down in one turn, once they may.
type Log = Rc<RefCell<Vec<&'static str>>>;

#[derive(Debug)]
struct Both(TcpStream, Rc<Cell<bool>>, Log, [&'static str; 2]);

impl Dispatcher for Both {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn readable(&self) -> bool {
        self.1.get()
    }

    fn writable(&self) -> bool {
        self.1.get()
    }

    fn handle_read(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        self.2.borrow_mut().push(self.3[0]);
        Ok(())
    }

    fn handle_write(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        self.2.borrow_mut().push(self.3[1]);
        Ok(())
    }
}

/// With select(2) asyncore calls all channels that can be read, then all that can be written; here the hooks of each
/// channel are called together.
#[test]
fn a_turn_goes_channel_by_channel() {
    for poller in [Poller::Select, Poller::Poll] {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (may, log) = (Rc::<Cell<bool>>::default(), Log::default());
        let mut peers = Vec::new();
        for names in [["one reads", "one writes"], ["two reads", "two writes"]] {
            let (ours, mut peer) = pair();
            peer.write_all(b"x").expect("send");
            looping.add(Both(ours, Rc::clone(&may), Rc::clone(&log), names)).expect("taken in");
            peers.push(peer);
        }
        assert!(log.borrow().is_empty());
        may.set(true);
        looping.turn(Some(PATIENCE)).expect("turn");
        assert_eq!(*log.borrow(), ["one reads", "one writes", "two reads", "two writes"], "{poller}");
        // Nothing was read: the kernel reports it again.
        looping.turn(Some(PATIENCE)).expect("turn");
        assert_eq!(log.borrow().len(), 8, "{poller}");
    }
}
