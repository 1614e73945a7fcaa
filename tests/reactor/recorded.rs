//! What a recorder writes of a loop is what the loop did.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::mpsc;

use stheno::asyncore::{Poller, SimpleLoop};
use stheno::reactor::Recorded;
use stheno::recording::{
    About, Kind, NO_KEY, Output, Record, Recorder, RecorderOptions, Recording, Why, moved, ready,
};

use super::*;

/// Echoes, as [`Echo`] does, for every kind of loop; and has a state.
#[derive(Debug)]
struct Named(Echo);

impl Dispatcher for Named {
    fn socket(&mut self) -> &mut dyn Source {
        self.0.socket()
    }

    fn fileno(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.0.socket))
    }

    fn readable(&self) -> bool {
        self.0.readable()
    }

    fn writable(&self) -> bool {
        self.0.writable()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.0.handle_read(cx)
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.0.handle_write(cx)
    }

    fn state(&self) -> &'static str {
        if self.0.read_closed { "Ending" } else { "Echoing" }
    }
}

fn recorder(file: &std::path::Path) -> Recorder {
    let output = Some(Output::create(file).expect("a file"));
    let about = About { program: "test".into(), source: "fn main() {}", ..About::default() };
    Recorder::new(RecorderOptions { about, output, ..RecorderOptions::default() })
}

fn read(file: &std::path::Path) -> Recording {
    Recording::parse(&std::fs::read(file).expect("the file")).expect("a recording")
}

fn of_kind(recording: &Recording, kind: Kind) -> Vec<Record> {
    recording.records.iter().filter(|record| record.kind == kind).copied().collect()
}

/// A client that sends this many bytes, shuts down, and reads the echo. It begins to read when it can send no more, so
/// that the socket of the server is full before.
fn client(address: SocketAddr, count: usize) {
    let mut stream = connect(address);
    let mut writer = stream.try_clone().expect("a clone");
    writer.set_write_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    let (stuck, is_stuck) = mpsc::channel();
    let sender = thread::spawn(move || {
        let bytes = vec![b'x'; count];
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match writer.write(rest) {
                Ok(sent) => rest = &rest[sent..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => _ = stuck.send(()),
                Err(error) => panic!("send: {error}"),
            }
        }
        writer.shutdown(std::net::Shutdown::Write).expect("shutdown");
    });
    // An error: everything is sent.
    _ = is_stuck.recv();
    let mut echo = Vec::new();
    stream.read_to_end(&mut echo).expect("the echo");
    sender.join().expect("the sender");
    assert_eq!(echo.len(), count);
}

#[test]
fn a_recording_has_every_byte_and_the_life_of_every_channel() {
    const COUNT: usize = 3_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("loop.rec");
    let mut reactor = Reactor::with_probe(Recorded::new(recorder(&file))).expect("a reactor");
    let address = serve(&mut reactor, AcceptMode::Exclusive, 2, |socket, cx| {
        // Otherwise the kernel may keep all of the echo.
        socket2::SockRef::from(&socket).set_send_buffer_size(64 << 10).expect("a small buffer");
        cx.adopt(Named(Echo { socket, output: OutQueue::new(), read_closed: false }));
    });
    let clients = thread::spawn(move || {
        client(address, COUNT);
        client(address, 5);
    });
    reactor.run().expect("run");
    clients.join().expect("the clients");
    let recording = read(&file);
    assert_eq!(recording.facts["program"], "test");
    assert_eq!(recording.source, "fn main() {}");
    let all = (COUNT + 5) as u64;
    for (name, kind) in [("read", Kind::Read), ("written", Kind::Write)] {
        assert_eq!(recording.totals[name], all, "{name}");
        assert_eq!(of_kind(&recording, kind).iter().map(|record| record.b).sum::<u64>(), all, "{name}");
    }
    assert_eq!(recording.totals["turns"], of_kind(&recording, Kind::Turn).len() as u64);
    let ends: Vec<u64> = of_kind(&recording, Kind::Read)
        .iter()
        .filter(|read| read.code & moved::END != 0)
        .map(|read| read.key)
        .collect();
    assert_eq!(ends.len(), 2, "each client has ended its input");
    for key in ends {
        lives_as_it_should(&recording, key);
    }
    let blocked = |record: &&Record| record.code & moved::BLOCKED != 0;
    assert!(of_kind(&recording, Kind::Write).iter().any(|record| blocked(&record)), "a full socket is told");
}

fn lives_as_it_should(recording: &Recording, key: u64) {
    let of_it: Vec<&Record> = recording.records.iter().filter(|record| record.key == key).collect();
    let kinds: Vec<Kind> = of_it.iter().map(|record| record.kind).collect();
    assert_eq!(kinds[..3], [Kind::New, Kind::Peer, Kind::State], "{kinds:?}");
    assert_eq!(recording.name(of_it[0].name), "Named");
    assert!(of_it[0].a < 1024 && of_it[0].b != NO_KEY, "a descriptor, and the listener that made it");
    assert_eq!(of_it[1].a, 0x7f00_0001);
    assert_eq!(
        (kinds[3], of_it[3].code),
        (Kind::Enter, Why::New as u8),
        "its first call finds out what is there"
    );
    assert_eq!(kinds[kinds.len() - 2..], [Kind::Peer, Kind::Close]);
    let states: Vec<&str> = of_it
        .iter()
        .filter(|record| record.kind == Kind::State)
        .map(|record| recording.name(record.name))
        .collect();
    assert_eq!(states, ["Echoing", "Ending"]);
    let mut open = 0;
    for record in &of_it {
        open += i32::from(record.kind == Kind::Enter) - i32::from(record.kind == Kind::Exit);
        assert!((0..=1).contains(&open), "every call has an end");
        if matches!(record.kind, Kind::Read | Kind::Write) {
            assert_eq!(open, 1, "bytes move within hooks");
        }
    }
    assert!(recording.records.windows(2).all(|pair| pair[0].time <= pair[1].time));
    let events = of_it.iter().filter(|record| record.kind == Kind::Event);
    assert!(
        events
            .clone()
            .all(|event| event.code != 0 && u8::try_from(event.name).expect("bits") >= event.code & 3)
    );
    assert!(events.clone().all(|event| event.code & ready::READ != 0 || event.code & ready::WRITE != 0));
}

/// The loops that ask about every descriptor say how many, and register none.
#[test]
fn a_level_loop_tells_what_it_asks() {
    for poller in [Poller::Select, Poller::Poll] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("loop.rec");
        let mut looping = SimpleLoop::with_probe(poller, Recorded::new(recorder(&file))).expect("a loop");
        let listener = socket::listen(([127, 0, 0, 1], 0).into(), 128, false).expect("a listener");
        let address = listener.local_addr().expect("an address");
        looping
            .add(Doorman { listener: Listener::new(listener, AcceptMode::Shared), left: 1 })
            .expect("added");
        let client = thread::spawn(move || client(address, 100));
        looping.run(Duration::from_secs(10), None).expect("run");
        client.join().expect("the client");
        let recording = read(&file);
        let waits = of_kind(&recording, Kind::Wait);
        assert!(waits.iter().all(|wait| wait.a == 1), "the listener, and then the connection: {waits:?}");
        assert!(of_kind(&recording, Kind::Watch).is_empty());
        assert_eq!(recording.totals["read"], 100);
        let why: BTreeMap<u8, usize> =
            of_kind(&recording, Kind::Enter).iter().fold(BTreeMap::new(), |mut sums, enter| {
                *sums.entry(enter.code).or_default() += 1;
                sums
            });
        assert!(why.keys().all(|why| [Why::New as u8, Why::Asked as u8].contains(why)), "{why:?}");
    }
}

#[derive(Debug)]
struct Doorman {
    listener: Listener,
    left: usize,
}

impl Dispatcher for Doorman {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    fn fileno(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.listener))
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let left = &mut self.left;
        self.listener.accept(cx, &(), |cx, socket, _| {
            *left -= 1;
            cx.adopt(Named(Echo { socket, output: OutQueue::new(), read_closed: false }));
        })?;
        if self.left == 0 {
            cx.close();
        }
        Ok(())
    }
}

/// A connection that the peer has reset is reported with an error.
#[test]
fn an_error_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("loop.rec");
    let mut reactor = Reactor::with_probe(Recorded::new(recorder(&file))).expect("a reactor");
    let accepted = Rc::<Cell<bool>>::default();
    let is_accepted = Rc::clone(&accepted);
    let address = serve(&mut reactor, AcceptMode::Exclusive, 1, move |socket, cx| {
        is_accepted.set(true);
        cx.adopt(Named(Echo { socket, output: OutQueue::new(), read_closed: false }));
    });
    let client = connect(address);
    while !accepted.get() {
        reactor.turn(Some(Duration::from_secs(5))).expect("turn");
    }
    socket::reset_on_close(&client).expect("a reset");
    drop(client);
    reactor.run().expect("run");
    let errors =
        of_kind(&read(&file), Kind::Event).into_iter().filter(|event| event.code & ready::ERROR != 0);
    assert_eq!(errors.count(), 1);
}

/// A hook that panics has an end, and its channel a close that says so.
#[test]
fn a_panic_is_told() {
    #[derive(Debug)]
    struct Clumsy(Stream);
    impl Dispatcher for Clumsy {
        fn socket(&mut self) -> &mut dyn Source {
            &mut self.0
        }
        fn handle_read(&mut self, _: &mut Context<'_>) -> io::Result<()> {
            panic!("a panic on purpose");
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("loop.rec");
    let mut reactor = Reactor::with_probe(Recorded::new(recorder(&file))).expect("a reactor");
    let address = serve(&mut reactor, AcceptMode::Exclusive, 1, |socket, cx| cx.adopt(Clumsy(socket)));
    let _client = connect(address);
    reactor.run().expect("run");
    let recording = read(&file);
    let close = of_kind(&recording, Kind::Close)
        .into_iter()
        .find(|close| close.code == 1)
        .expect("a close after a panic");
    let exit = of_kind(&recording, Kind::Exit)
        .into_iter()
        .find(|exit| exit.key == close.key)
        .expect("the hook ends");
    assert_eq!((exit.code, recording.name(exit.name)), (Ending::Panicked as u8, "handle_read"));
}

/// Only the longest turn is written, at once, and the end of the program leaves it there.
#[test]
fn a_long_turn_is_written_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("slow.rec");
    let options = RecorderOptions {
        output: Some(Output::create(&file).expect("a file")),
        exceeds: Some(Duration::from_millis(200)),
        ..RecorderOptions::default()
    };
    let mut reactor = Reactor::with_probe(Recorded::new(Recorder::new(options))).expect("a reactor");
    let slow = |reactor: &mut Reactor<Recorded>, millis| {
        reactor.call_later(Duration::ZERO, move |_| thread::sleep(Duration::from_millis(millis)));
        reactor.turn(None).expect("turn");
        // The wait of the next turn ends the one before.
        reactor.turn(Some(Duration::ZERO)).expect("turn");
    };
    slow(&mut reactor, 1);
    assert!(std::fs::read(&file).expect("the file").is_empty(), "no turn was long");
    slow(&mut reactor, 600);
    slow(&mut reactor, 300);
    reactor.probe().finish();
    let recording = read(&file);
    let clocks = of_kind(&recording, Kind::Clock);
    let slept = clocks
        .windows(2)
        .map(|pair| (pair[1].time - pair[0].time, pair[1].b - pair[0].b))
        .max()
        .expect("clocks");
    assert!(slept.0 >= 599_000_000 && slept.1 < 300_000_000, "the hook slept and did not compute: {slept:?}");
    let longest = recording
        .turns()
        .map(|(_, turn)| turn.last().map_or(0, |last| last.time) - turn.first().map_or(0, |first| first.time))
        .max()
        .expect("turns");
    assert!(longest >= 599_000_000, "{longest}");
}
