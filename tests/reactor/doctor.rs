//! What the doctor says of loops that run, over real sockets; `src/recording/doctor/tests.rs` has the limits of each finding.

use std::os::fd::{AsFd, BorrowedFd};

use stheno::reactor::Recorded;
use stheno::recording::{Finding, FindingKind, Recorder, RecorderOptions, Severity};

use super::*;

/// What a hook does.
type Does = fn(&mut Patient, &mut Context<'_>) -> io::Result<()>;

/// A channel with one fault or none.
#[derive(Debug)]
struct Patient {
    socket: Stream,
    output: OutQueue,
    reads: Does,
    writes: Does,
    always_writable: bool,
}

impl Dispatcher for Patient {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn writable(&self) -> bool {
        self.always_writable || !self.output.is_empty()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        (self.reads)(self, cx)
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        (self.writes)(self, cx)
    }

    fn unsent(&self) -> u64 {
        self.output.len() as u64
    }
}

fn read_all(patient: &mut Patient, cx: &mut Context<'_>) -> io::Result<()> {
    while cx.recv(&mut patient.socket)?.is_some_and(|bytes| !bytes.is_empty()) {}
    Ok(())
}

/// A listener whose descriptor the loop may know.
#[derive(Debug)]
struct Door {
    listener: Listener,
    healthy: fn(Stream) -> Patient,
}

impl Dispatcher for Door {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.listener.as_fd())
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let make = self.healthy;
        self.listener.accept(cx, &(), |cx, socket, _| cx.adopt(make(socket)))
    }
}

fn healthy(socket: Stream) -> Patient {
    Patient {
        socket,
        output: OutQueue::new(),
        reads: read_all,
        writes: |_, _| Ok(()),
        always_writable: false,
    }
}

/// A loop with a doctor, and its address.
fn ward(backlog: i32, make: fn(Stream) -> Patient) -> (Reactor<Recorded>, SocketAddr) {
    let options = RecorderOptions { doctor: true, ..RecorderOptions::default() };
    let mut reactor = Reactor::with_probe(Recorded::new(Recorder::new(options))).expect("a reactor");
    let listener = socket::listen(([127, 0, 0, 1], 0).into(), backlog, false).expect("a listener");
    let address = listener.local_addr().expect("an address");
    reactor.add(Door { listener: Listener::new(listener, AcceptMode::Shared), healthy: make });
    (reactor, address)
}

/// Turns until nothing is left to do. The doctor looks at a turn when the next one begins.
fn settle(reactor: &mut Reactor<Recorded>) -> Vec<Finding> {
    for _ in 0..6 {
        reactor.turn(Some(Duration::ZERO)).expect("a turn");
    }
    reactor.probe().recorder().findings()
}

fn kinds(findings: &[Finding]) -> Vec<FindingKind> {
    findings.iter().map(|finding| finding.kind).collect()
}

/// Four clients send a byte each, and the first hook handles it as `reads` does.
fn four_at_once(reads: Does) -> Vec<Finding> {
    thread_local! {
        static READS: Cell<Option<Does>> = const { Cell::new(None) };
    }
    READS.set(Some(reads));
    let (mut reactor, address) = ward(128, |socket| Patient {
        reads: |patient, cx| {
            read_all(patient, cx)?;
            READS.take().map_or(Ok(()), |reads| reads(patient, cx))
        },
        ..healthy(socket)
    });
    let mut clients: Vec<StdStream> = (0..4).map(|_| connect(address)).collect();
    READS.set(None);
    settle(&mut reactor);
    READS.set(Some(reads));
    clients.iter_mut().for_each(|client| client.write_all(b"x").expect("send"));
    settle(&mut reactor)
}

#[test]
fn a_hook_that_sleeps_is_found() {
    let findings = four_at_once(|_, _| {
        thread::sleep(Duration::from_millis(80));
        Ok(())
    });
    assert_eq!(kinds(&findings), [FindingKind::SlowHook, FindingKind::WaitBehind], "{findings:#?}");
    assert_eq!(findings[0].severity, Severity::Critical);
    let text = &findings[0].text;
    assert!(
        text.starts_with("handle_read of Patient ") && text.ends_with("; 3 channels waited behind it"),
        "{text}"
    );
    assert!(text.contains("it slept or waited for the kernel (computed "), "{text}");
    assert!(findings[1].text.contains("in its turn behind handle_read of Patient "), "{}", findings[1].text);
    // The machine itself may be late, but not each time.
    let is_quiet = (0..10).any(|_| four_at_once(|_, _| Ok(())).is_empty());
    assert!(is_quiet, "{:#?}", four_at_once(|_, _| Ok(())));
}

#[test]
fn a_hook_that_computes_is_found() {
    let findings = four_at_once(|_, _| {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(80) {}
        Ok(())
    });
    let slow = findings.iter().find(|finding| finding.kind == FindingKind::SlowHook).expect("a slow hook");
    // On a machine with other work it may not be the whole truth; that it slept is no part of it.
    assert!(slow.text.contains("it computed ") || !slow.text.contains("it slept"), "{}", slow.text);
}

#[test]
fn a_channel_that_always_wants_to_write_is_found() {
    let spins = |writes: Does| {
        thread_local! {
            static WRITES: Cell<Does> = const { Cell::new(|_, _| Ok(())) };
        }
        WRITES.set(writes);
        let (mut reactor, address) = ward(128, |socket| Patient {
            writes: |patient, cx| WRITES.get()(patient, cx),
            always_writable: true,
            ..healthy(socket)
        });
        let client = connect(address);
        for _ in 0..3_000 {
            reactor.turn(Some(Duration::from_secs(5))).expect("a turn");
        }
        drop(client);
        reactor
            .probe()
            .recorder()
            .findings()
            .into_iter()
            .find(|finding| finding.kind == FindingKind::Spinning)
    };
    let finding = spins(|_, _| Ok(())).expect("a finding");
    assert!(finding.text.starts_with("the loop polled 1001 times in "), "{}", finding.text);
    assert!(
        finding.text.contains("moved no byte: Patient ") && finding.cure.contains("`writable`"),
        "{finding:?}"
    );
    // As busy, but something moves.
    let busy = spins(|patient, cx| {
        thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
        CALLS.set(CALLS.get() + 1);
        if CALLS.get() % 500 == 0 {
            cx.send(&patient.socket, b"x", false)?;
        }
        Ok(())
    });
    assert_eq!(busy, None);
}

#[test]
fn a_close_after_the_push_is_found() {
    let pushes = |reads: Does| {
        thread_local! {
            static READS: Cell<Does> = const { Cell::new(|_, _| Ok(())) };
        }
        READS.set(reads);
        let (mut reactor, address) = ward(128, |socket| Patient {
            reads: |patient, cx| {
                patient.output.push(&vec![b'x'; 8_000_000]);
                READS.get()(patient, cx)
            },
            writes: |patient, cx| {
                transmit(cx, &patient.socket, &mut patient.output)?;
                if patient.output.is_empty() {
                    cx.close();
                }
                Ok(())
            },
            ..healthy(socket)
        });
        let client = thread::spawn(move || {
            let mut client = connect(address);
            client.write_all(b"x").expect("send");
            let mut received = Vec::new();
            // A close with unread input resets the connection.
            let _ = client.read_to_end(&mut received);
            received.len()
        });
        while !client.is_finished() {
            reactor.turn(Some(Duration::from_millis(5))).expect("a turn");
        }
        let findings = settle(&mut reactor);
        (
            client.join().expect("the client"),
            findings.into_iter().find(|one| one.kind == FindingKind::BytesLost),
        )
    };
    let (received, finding) = pushes(|patient, cx| {
        transmit(cx, &patient.socket, &mut patient.output)?;
        cx.close();
        Ok(())
    });
    let finding = finding.expect("a finding");
    assert!(
        received < 8_000_000 && finding.text.contains("were lost when Patient "),
        "{received} {finding:?}"
    );
    assert!(finding.text.ends_with("closed in handle_read: they were not sent yet"), "{}", finding.text);
    let (received, finding) = pushes(|patient, cx| {
        read_all(patient, cx)?;
        (patient.reads = read_all, patient.handle_write(cx)).1
    });
    assert_eq!((received, finding), (8_000_000, None));
}

/// The kernel says how many connections wait.
#[test]
#[cfg(target_os = "linux")]
fn a_queue_that_is_nearly_full_is_found() {
    let queue = |backlog: i32| {
        let (mut reactor, address) = ward(backlog, healthy);
        settle(&mut reactor);
        let clients: Vec<StdStream> = (0..4).map(|_| connect(address)).collect();
        // The pause between two questions.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(11) {}
        let findings = settle(&mut reactor);
        drop(clients);
        findings.into_iter().find(|finding| finding.kind == FindingKind::AcceptQueue)
    };
    let finding = queue(5).expect("a finding");
    assert!(finding.text.starts_with("4 of at most 5 connections wait for Door "), "{}", finding.text);
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(queue(6), None);
}
