//! The bounds of a turn: deadlines, shares, stale keys, and the lag that a probe sees.

use super::*;

/// Fails to move its deadline, and panics at the end.
#[derive(Debug)]
struct Stubborn {
    socket: Stream,
    deadline: Instant,
    calls: Rc<Cell<u32>>,
}

impl Dispatcher for Stubborn {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn handle_timeout(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        self.calls.set(self.calls.get() + 1);
        Ok(())
    }

    fn handle_close(&mut self, _: Now) {
        panic!("a panic on purpose");
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

#[test]
fn a_deadline_that_stands_does_not_hold_the_turn_and_a_panic_at_the_end_not_the_loop() {
    let mut reactor = Reactor::new().expect("a reactor");
    let calls = Rc::<Cell<u32>>::default();
    let its_calls = Rc::clone(&calls);
    let address = serve(&mut reactor, AcceptMode::Exclusive, 1, move |socket, cx| {
        cx.adopt(Stubborn { socket, deadline: cx.now().monotonic, calls: Rc::clone(&its_calls) });
    });
    let _client = connect(address);
    while calls.get() == 0 {
        let before = calls.get();
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
        assert!(calls.get() <= before + 1, "once a turn");
    }
    reactor.close_all();
    assert!(reactor.is_empty());
}

/// Stops with input unread, and is called again.
#[derive(Debug)]
struct Greedy {
    socket: Stream,
    calls: Rc<RefCell<Vec<Key>>>,
}

impl Dispatcher for Greedy {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.calls.borrow_mut().push(cx.key());
        Ok(())
    }
}

/// RULES E5, C18: many channels with much to do share the turn, one after the other, and do not make it longer.
#[test]
fn a_crowd_of_the_greedy_shares_the_turn() {
    let mut reactor = Reactor::new().expect("a reactor");
    let calls = Rc::<RefCell<Vec<Key>>>::default();
    let its_calls = Rc::clone(&calls);
    let address = serve(&mut reactor, AcceptMode::Exclusive, 50, move |socket, cx| {
        cx.adopt(Greedy { socket, calls: Rc::clone(&its_calls) });
    });
    let mut clients: Vec<_> = (0..50).map(|_| connect(address)).collect();
    while reactor.len() < 50 || calls.borrow().len() < 50 {
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
    }
    // The listener is gone with the last of them; what comes now are events for channels that wait already.
    for _ in 0..5 {
        clients.iter_mut().for_each(|client| client.write_all(b"more").expect("send"));
        calls.borrow_mut().clear();
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
        assert_eq!(calls.borrow().len(), 16, "the shares of one turn");
    }
    calls.borrow_mut().clear();
    for _ in 0..25 {
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
    }
    let calls = calls.borrow();
    let shares = |key: &Key| calls.iter().filter(|called| *called == key).count();
    assert!(calls.iter().all(|key| shares(key) == 8), "400 shares for 50 channels, eight each");
    reactor.close_all();
}

/// Takes its time for each byte that it reads, the number of its client.
#[derive(Debug)]
struct Slow {
    socket: Stream,
    calls: Rc<RefCell<Vec<u8>>>,
}

/// How long a call of [`Slow`] takes.
const WORK: Duration = Duration::from_millis(10);

impl Dispatcher for Slow {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        // A short read clears the bit: only an event, or readiness that was kept, calls this again.
        if let Some([number]) = cx.recv(&mut self.socket)? {
            self.calls.borrow_mut().push(*number);
            let began = std::time::Instant::now();
            while began.elapsed() < WORK {}
        }
        Ok(())
    }
}

/// RULES E21: a turn ends by time. What is left comes first in the next turn, in its order; no readiness is lost, and no
/// channel has a second share before all others have had one.
#[test]
fn a_turn_of_slow_channels_ends_and_loses_none() {
    const CHANNELS: u8 = 40;
    const ALL: usize = CHANNELS as usize;
    let mut reactor = Reactor::new().expect("a reactor");
    let calls = Rc::<RefCell<Vec<u8>>>::default();
    let its_calls = Rc::clone(&calls);
    let address = serve(&mut reactor, AcceptMode::Exclusive, ALL, move |socket, cx| {
        cx.adopt(Slow { socket, calls: Rc::clone(&its_calls) });
    });
    let mut clients: Vec<_> = (0..CHANNELS).map(|_| connect(address)).collect();
    while reactor.len() < ALL {
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
    }
    let fired = Rc::<Cell<usize>>::default();
    let (at, seen) = (Rc::clone(&fired), Rc::clone(&calls));
    reactor.call_later(Duration::ZERO, move |_| at.set(seen.borrow().len()));
    // All have something to read at once; a timer is due as well.
    let mut ask = |number: u8| clients[usize::from(number)].write_all(&[number]).expect("send");
    (0..CHANNELS).for_each(&mut ask);
    let (mut longest, mut turns) = (0, 0);
    while calls.borrow().len() < 2 * ALL {
        let before = calls.borrow().len();
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
        let after = calls.borrow().len();
        longest = longest.max(after - before);
        turns += 1;
        assert!(after > before, "a turn without progress: {before}");
        // Those that have had their share ask again at once, while the others wait.
        calls.borrow()[before.min(ALL)..after.min(ALL)].iter().copied().for_each(&mut ask);
    }
    // 50 ms are five calls; the clock is read before each fourth one.
    assert!(longest <= 8, "{longest} calls in a turn");
    let calls = calls.borrow();
    for round in calls.chunks(ALL) {
        let served: std::collections::BTreeSet<_> = round.iter().collect();
        assert_eq!(served.len(), ALL, "one share each, before any has a second one: {calls:?}");
    }
    assert!((1..=ALL + 8).contains(&fired.get()), "the timer waits for its turn only: {}", fired.get());
    holds(
        "E21",
        format_args!(
            "80 calls of 10 ms: {turns} turns, at most {longest} calls each; each channel has its share"
        ),
        "≤ 8 calls a turn, none lost",
    );
    reactor.close_all();
}

/// RULES E6: a stale key reaches no channel, although its entry is used by another.
#[test]
fn a_stale_key_does_not_reach_the_successor() {
    let mut reactor = Reactor::new().expect("a reactor");
    let (key, woken) = (Rc::<Cell<Option<Key>>>::default(), Rc::<Cell<u32>>::default());
    let (its_key, its_count) = (Rc::clone(&key), Rc::clone(&woken));
    let address = serve(&mut reactor, AcceptMode::Exclusive, 1000, move |socket, cx| {
        cx.adopt(Sleeper { socket, key: Rc::clone(&its_key), woken: Rc::clone(&its_count) });
    });
    let waker = reactor.waker();
    let mut stale: Vec<Key> = Vec::new();
    for round in 1..=200 {
        let _client = connect(address);
        while key.get().is_none() {
            reactor.turn(Some(Duration::from_secs(5))).expect("turn");
        }
        let this = key.take().expect("a key");
        stale.iter().for_each(|key| waker.wake(*key).expect("wake"));
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
        assert_eq!(woken.get(), round - 1, "none was meant");
        waker.wake(this).expect("wake");
        while woken.get() < round {
            reactor.turn(Some(Duration::from_secs(5))).expect("turn");
        }
        stale.push(this);
        stale.drain(..stale.len().saturating_sub(8));
    }
    reactor.close_all();
    holds("E6", "0 of 1,500 wakes by stale keys reach the successor; a million keys in slab's test", "0");
}

/// A histogram of the length of turns, in powers of two of microseconds.
#[derive(Debug)]
struct Lag {
    begun: Option<Instant>,
    histogram: [u32; 32],
}

impl Probe for Lag {
    fn poll_enter(&mut self, _: usize, _: Option<Duration>) {
        if let Some(begun) = self.begun.take() {
            let micros = u64::try_from(begun.elapsed().as_micros()).expect("a short turn");
            self.histogram[(u64::BITS - micros.leading_zeros()).min(31) as usize] += 1;
        }
    }

    fn poll_exit(&mut self, _: usize, _: Instant) {
        self.begun = Some(Instant::now());
    }
}

/// RULES E18: a probe makes the histogram of the loop's lag.
#[test]
fn the_lag_of_the_loop_is_visible() {
    let mut reactor = Reactor::with_probe(Lag { begun: None, histogram: [0; 32] }).expect("a reactor");
    let address = serve(&mut reactor, AcceptMode::Exclusive, 20, echo);
    let clients = thread::spawn(move || {
        let mut clients: Vec<_> = (0..20).map(|_| connect(address)).collect();
        for _ in 0..200 {
            clients.iter_mut().for_each(|client| client.write_all(b"a line").expect("send"));
            clients.iter_mut().for_each(|client| client.read_exact(&mut [0; 6]).expect("the echo"));
        }
    });
    reactor.run().expect("run");
    clients.join().expect("the clients");
    let histogram = reactor.probe().histogram;
    let turns: u32 = histogram.iter().sum();
    // The least power of two that all turns but one of a thousand stay below.
    let mut longer = turns;
    let within = histogram.iter().position(|count| {
        longer -= count;
        longer <= turns / 1000
    });
    let bound = Duration::from_micros(1 << within.expect("a bound"));
    assert!(turns > 100, "{turns} turns");
    assert!(bound < Duration::from_secs(1), "{histogram:?}");
    holds("E18", format!("a probe sees p99.9 of {turns} turns < {bound:?} (echo, debug build)"), "≤ 10 ms");
}

/// Rows that cost time: counts the pieces that were asked for.
#[derive(Debug)]
struct Rows {
    left: u32,
    made: Arc<AtomicU32>,
}

impl Producer for Rows {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Chunk::Bytes(b"row\n".to_vec())))
    }
}

/// A page of a thousand small pieces is made over many turns, whole.
#[test]
fn a_turn_makes_sixteen_pieces_at_most() {
    let mut reactor = Reactor::new().expect("a reactor");
    let made = Arc::<AtomicU32>::default();
    let its_made = Arc::clone(&made);
    let address = serve(&mut reactor, AcceptMode::Exclusive, 1, move |socket, cx| {
        let mut output = OutQueue::new();
        output.push_with_producer(Rows { left: 1000, made: Arc::clone(&its_made) });
        cx.adopt(Echo { socket, output, read_closed: true });
    });
    let mut client = connect(address);
    let (mut before, mut turns) = (0, 0);
    while !reactor.is_empty() {
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
        let now = made.load(Ordering::Relaxed);
        assert!(now - before <= 17, "{} pieces in one turn", now - before);
        turns += u32::from(now > before);
        before = now;
    }
    let mut page = String::new();
    client.read_to_string(&mut page).expect("the page");
    assert_eq!((before, page.lines().count()), (1000, 1000));
    assert!(turns >= 1000 / 17, "{turns} turns");
}
