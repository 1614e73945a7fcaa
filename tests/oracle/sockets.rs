//! The same scripts over a real socket: a `ChatChannel` on each loop has the same events as asynchat.
//!
//! Peer and loop take turns: the bytes of a step are sent, and the next step starts after all expected events
//! of the step. So each step is one read here as well.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stheno::asyncore::{Poller, SimpleLoop};
use stheno::reactor::ChatChannel;

use crate::script::{Events, Script, Step, shown};

/// The limit for a step, for busy machines.
const PATIENCE: Duration = Duration::from_secs(20);

/// A peer and a loop with one channel.
struct Bench {
    looping: SimpleLoop,
    peer: TcpStream,
    calls: Events,
    is_closed: bool,
}

impl Bench {
    fn new(poller: Poller, script: &Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let peer = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        let (ours, _) = listener.accept().expect("accept");
        peer.set_nodelay(true).expect("an option");
        peer.set_nonblocking(true).expect("non-blocking");
        ours.set_nonblocking(true).expect("non-blocking");
        let calls = Events::default();
        let (mut chat, mut player) = script.begin(&calls);
        if let Some(Step::Do(actions)) = script.steps().first() {
            player.act(&mut chat, actions);
        }
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let socket = mio::net::TcpStream::from_std(ours);
        looping.add(ChatChannel::new(socket, chat, player)).expect("taken in");
        Self { looping, peer, calls, is_closed: false }
    }

    /// Runs turns until the step has as many events as `expected`; returns them.
    fn events_like(&mut self, expected: &[Value]) -> Vec<Value> {
        let (mut wire, end) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            self.looping.turn(Some(Duration::ZERO)).expect("turn");
            self.receive(&mut wire);
            let mut events = self.calls.borrow().clone();
            if !wire.is_empty() {
                events.push(json!(["wire", shown(&wire)]));
            }
            if self.is_closed {
                events.push(json!(["close"]));
            }
            if events == expected || Instant::now() > end {
                self.calls.borrow_mut().clear();
                return events;
            }
        }
    }

    fn receive(&mut self, wire: &mut Vec<u8>) {
        let mut piece = vec![0; 1 << 16];
        while let Ok(count) = self.peer.read(&mut piece) {
            wire.extend_from_slice(&piece[..count]);
            if count == 0 {
                self.is_closed = true;
                return;
            }
        }
    }
}

/// Whether all actions of the script happen at the start or in hooks: the chat of a channel is out of reach
/// otherwise.
fn is_for_a_channel(script: &Script) -> bool {
    script.steps().iter().skip(1).all(|step| matches!(step, Step::In(_)))
}

fn compare(poller: Poller, script: &Script) {
    let mut bench = Bench::new(poller, script);
    let steps = script.steps();
    for (number, expected) in script.events().into_iter().enumerate() {
        match steps.get(number) {
            Some(Step::In(bytes)) => bench.peer.write_all(bytes).expect("a small send"),
            Some(Step::Do(_)) => {}
            None => bench.peer.shutdown(Shutdown::Write).expect("shutdown"),
        }
        let ours = bench.events_like(expected);
        let script = script.number();
        assert_eq!(ours, expected, "{poller}: script {script}, step {number}: we, and asynchat");
    }
    assert!(bench.is_closed && bench.looping.is_empty());
}

#[test]
fn what_asynchat_does_a_channel_does_on_every_loop() {
    let scripts: Vec<Script> = super::recorded().into_iter().filter(is_for_a_channel).collect();
    assert!(scripts.len() > 250, "{} scripts", scripts.len());
    for poller in Poller::ALL {
        scripts.iter().for_each(|script| compare(poller, script));
    }
}
