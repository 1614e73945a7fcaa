//! Each finding happens, and each nearly happens and is not told.

mod hand;

use super::*;
use crate::recording::record::{NO_KEY, Origin, TASK_BIT, Why};
use hand::{Hand, key};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

/// A turn in which one hook takes `took`, of which it computes `cpu` and is late `late`, while four channels wait.
fn one_slow(took: u64, cpu: u64, late: u64) -> Hand {
    let mut hand = Hand::new();
    hand.turn(SECOND).clock();
    (3..8).for_each(|index| {
        hand.event(key(index), 1);
    });
    hand.hook(key(3), "handle_read", Why::Event, took);
    (hand.cpu, hand.late) = (hand.cpu + cpu, hand.late + late);
    hand.clock();
    (4..8).for_each(|index| {
        hand.hook(key(index), "handle_read", Why::Event, 1_000);
    });
    hand.turn(MILLI);
    hand
}

#[test]
fn a_hook_that_sleeps_is_slow() {
    let findings = one_slow(300 * MILLI, MILLI / 5, 20_000).findings("reactor");
    assert_eq!(findings.len(), 2, "{findings:#?}");
    let (slow, wait) = (&findings[0], &findings[1]);
    assert_eq!((slow.kind, slow.severity, slow.key), (FindingKind::SlowHook, Severity::Critical, key(3)));
    assert_eq!(
        slow.text,
        "handle_read of Echo 3.1 took 300 ms: it slept or waited for the kernel (computed 200 µs, the machine was late \
         0 ms); 4 channels waited behind it"
    );
    assert!(slow.cure.contains("handle_timeout"), "{}", slow.cure);
    assert_eq!((wait.kind, wait.severity), (FindingKind::WaitBehind, Severity::Warning));
    assert_eq!(
        wait.text,
        "Echo 7.1 waited 300 ms in its turn behind handle_read of Echo 3.1 (300 ms) and handle_read of Echo 4.1 \
         (1.0 µs) and 2 more (2.0 µs); 4 channels waited 5 ms or longer"
    );
}

#[test]
fn the_clocks_say_why_a_hook_was_slow() {
    let text = |hand: Hand| hand.findings("reactor").remove(0);
    let computed = text(one_slow(30 * MILLI, 29 * MILLI, 0));
    assert!(
        computed.text.contains("took 30 ms: it computed 29 ms (slept or waited 1.0 ms"),
        "{}",
        computed.text
    );
    assert_eq!(computed.severity, Severity::Warning);
    let late = text(one_slow(80 * MILLI, MILLI, 78 * MILLI));
    assert!(late.text.contains("the machine gave it no processor for 78 ms"), "{}", late.text);
    assert_eq!(late.severity, Severity::Warning, "not the program's fault");
    let mixed = text(one_slow(90 * MILLI, 30 * MILLI, 25 * MILLI));
    assert!(mixed.text.contains("why is not certain"), "{}", mixed.text);
    // The last reading before it is from an earlier turn.
    let mut hand = Hand::new();
    hand.turn(MILLI).clock().turn(40 * MILLI).hook(key(3), "handle_read", Why::Event, 20 * MILLI).clock();
    assert!(text(hand).text.contains("why is not certain: of 60 ms around it"));
    let mut hand = Hand::new();
    hand.turn(MILLI).hook(key(3), "handle_read", Why::Event, 20 * MILLI);
    assert!(text(hand).text.contains("the cause is not known"));
}

#[test]
fn a_hook_is_not_slow_for_what_it_contains() {
    let mut hand = Hand::new();
    let task = TASK_BIT | 5;
    hand.turn(MILLI).clock().enter(key(1), "handle_wake", Why::Wake).now += 4 * MILLI;
    hand.hook(task, "poll", Why::Wake, 20 * MILLI).clock().now += 4 * MILLI;
    hand.exit(key(1), "handle_wake", Ending::Returned).clock();
    let findings = hand.findings("futures");
    let slow: Vec<u64> = findings.iter().map(|finding| finding.key).collect();
    assert_eq!(slow, [task], "{findings:#?}");
    assert!(findings[0].text.starts_with("poll of task 5 took 20 ms"), "{}", findings[0].text);
}

#[test]
fn a_hook_just_below_the_limit_is_silent() {
    let mut hand = Hand::new();
    for _ in 0..20 {
        hand.turn(MILLI).event(key(3), 1).hook(key(3), "handle_read", Why::Event, 9_999_999);
    }
    assert_eq!(hand.kinds("reactor"), []);
    hand.turn(MILLI).hook(key(3), "handle_read", Why::Event, 10 * MILLI);
    assert_eq!(hand.kinds("reactor"), [FindingKind::SlowHook]);
}

#[test]
fn a_channel_waits_behind_many_short_hooks() {
    let mut hand = Hand::new();
    hand.turn(MILLI);
    for index in 1..7 {
        hand.hook(key(index), "handle_read", Why::Event, MILLI);
    }
    hand.hook(key(7), "handle_read", Why::Event, 1_000);
    let findings = hand.findings("reactor");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0].text.starts_with("Echo 7.1 waited 6.0 ms in its turn behind"),
        "{}",
        findings[0].text
    );
    assert!(findings[0].text.contains("and 4 more (4.0 ms); 2 channels waited 5 ms"), "{}", findings[0].text);
    assert!(findings[0].cure.contains("workers"), "{}", findings[0].cure);
}

/// A channel that the turn had no time for waits into the next one.
#[test]
fn a_late_channel_has_waited_since_the_turn_before() {
    let mut hand = Hand::new();
    hand.turn(MILLI).event(key(3), 1).hook(key(3), "handle_read", Why::Event, 15 * MILLI).clock();
    hand.event(key(4), 1).event(key(4), 1).event(key(5), 2);
    hand.turn(0).hook(key(4), "handle_read", Why::Late, 1_000);
    let texts: Vec<String> = hand.findings("reactor").into_iter().map(|finding| finding.text).collect();
    assert!(texts[0].ends_with("; 1 channel waited behind it"), "{texts:?}");
    assert_eq!(texts[1..], ["Echo 4.1 waited 15 ms in its turn behind the hooks of the turn before"]);
}

#[test]
fn a_wait_that_is_short_or_of_its_own_making_is_silent() {
    let mut hand = Hand::new();
    // Almost 5 ms; its own hook; a channel that did not exist yet; a task that was woken a moment ago.
    hand.turn(MILLI).hook(key(3), "handle_read", Why::Event, 4_999_999);
    hand.hook(key(4), "handle_read", Why::Event, MILLI);
    hand.turn(MILLI).hook(key(3), "handle_read", Why::Event, 9 * MILLI);
    hand.hook(key(3), "handle_write", Why::Event, 1_000);
    hand.hook(key(5), "handle_read", Why::New, 1_000);
    hand.push(Record { key: TASK_BIT | 1, ..Record::new(Kind::Wake) });
    hand.hook(TASK_BIT | 1, "poll", Why::Wake, 1_000);
    assert_eq!(hand.kinds("reactor"), []);
}

/// A loop whose last read of `Echo 3.1` returned this, and what happened in the second after it.
fn read_and_wait(code: u8, then: impl FnOnce(&mut Hand), idle: u64) -> Hand {
    let mut hand = Hand::new();
    hand.turn(MILLI).event(key(3), 1).enter(key(3), "echo", Why::Event);
    hand.moves(Kind::Read, key(3), 1024, code).exit(key(3), "echo", Ending::Returned);
    then(&mut hand);
    hand.turn(idle).turn(MILLI);
    hand
}

#[test]
fn an_edge_is_lost_where_a_read_stops_early() {
    let findings = read_and_wait(0, |_| {}, SECOND).findings("mio");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!((findings[0].kind, findings[0].key), (FindingKind::LostEdge, key(3)));
    assert!(
        findings[0]
            .text
            .starts_with("Echo 3.1 may have input that nobody reads: its last read returned 1024 B"),
        "{}",
        findings[0].text
    );
    // Told once, although it stays so; what is written meanwhile only begins the second again.
    let wrote = |hand: &mut Hand| {
        hand.moves(Kind::Write, key(3), 1024, 0);
    };
    let mut hand = read_and_wait(0, wrote, SECOND);
    (0..20).for_each(|_| {
        hand.turn(SECOND);
    });
    assert_eq!(hand.kinds("mio"), [FindingKind::LostEdge]);
}

#[test]
fn an_edge_is_not_lost_where_the_read_went_on() {
    let none = |_: &mut Hand| {};
    for code in [moved::BLOCKED, moved::END, moved::SPENT, moved::FAILED] {
        assert_eq!(read_and_wait(code, none, 3 * SECOND).kinds("mio"), []);
    }
    assert_eq!(read_and_wait(0, none, SECOND - 3 * MILLI).kinds("mio"), []);
    // A loop that asks again, and those that keep what they were told.
    for kind in ["select", "poll", "reactor", "futures", "tokio"] {
        assert_eq!(read_and_wait(0, none, 3 * SECOND).kinds(kind), [], "{kind}");
    }
    let later = |hand: &mut Hand| {
        hand.turn(MILLI).moves(Kind::Read, key(3), 0, moved::BLOCKED);
    };
    assert_eq!(read_and_wait(0, later, 3 * SECOND).kinds("mio"), []);
    let close = |hand: &mut Hand| {
        hand.moves(Kind::Close, key(3), 0, 0);
    };
    assert_eq!(read_and_wait(0, close, 3 * SECOND).kinds("mio"), []);
    let full = |hand: &mut Hand| {
        hand.moves(Kind::Write, key(3), 500, moved::BLOCKED);
    };
    assert_eq!(read_and_wait(0, full, 3 * SECOND).kinds("mio"), []);
}

#[test]
fn bytes_are_lost_at_a_close() {
    let mut hand = Hand::new();
    hand.turn(MILLI).hook(key(3), "handle_timeout", Why::Deadline, 1_000).moves(Kind::Close, key(3), 1234, 0);
    hand.turn(MILLI).moves(Kind::Close, key(4), 20_480, 0);
    hand.turn(MILLI).hook(key(5), "handle_read", Why::Event, 1_000).moves(Kind::Close, key(5), 7, 1);
    let texts: Vec<String> = hand.findings("reactor").into_iter().map(|finding| finding.text).collect();
    assert_eq!(
        texts,
        [
            "1234 B were lost when Echo 3.1 closed in handle_timeout: they were not sent yet",
            "20 KiB were lost when the loop closed Echo 4.1: they were not sent yet",
            "7 B were lost when a panic closed Echo 5.1",
        ]
    );
    // Nothing is lost; a peer that is gone takes nothing.
    let mut hand = Hand::new();
    hand.turn(MILLI).hook(key(3), "handle_read", Why::Event, 1_000).moves(Kind::Close, key(3), 0, 0);
    hand.turn(MILLI).enter(key(4), "handle_write", Why::Event).exit(key(4), "handle_write", Ending::Failed);
    hand.moves(Kind::Close, key(4), 99, 0);
    hand.turn(MILLI).moves(Kind::Write, key(5), 0, moved::FAILED).moves(Kind::Close, key(5), 99, 0);
    assert_eq!(hand.kinds("reactor"), []);
}

#[test]
fn a_loop_that_polls_and_moves_nothing_spins() {
    let spin = |pause: u64, polls: usize, each: &dyn Fn(&mut Hand, usize)| {
        let mut hand = Hand::new();
        hand.turn(MILLI).moves(Kind::Read, key(2), 5, moved::BLOCKED);
        for poll in 0..polls {
            hand.turn(pause);
            each(&mut hand, poll);
        }
        hand.findings("reactor")
    };
    let writes = |hand: &mut Hand, _: usize| {
        hand.event(key(3), 2).hook(key(3), "handle_write", Why::Event, 1_000);
    };
    let findings = spin(900_000, 5_000, &writes);
    assert_eq!(findings.len(), 1, "told once: {findings:#?}");
    assert_eq!((findings[0].kind, findings[0].key), (FindingKind::Spinning, key(3)));
    let (text, cure) = (&findings[0].text, findings[0].cure);
    assert!(
        text.starts_with("the loop polled 1001 times in 902 ms and moved no byte: Echo 3.1 asks for wri"),
        "{text}"
    );
    assert!(cure.contains("`writable`"), "{cure}");
    let reads = |hand: &mut Hand, _: usize| {
        hand.event(key(4), 5).hook(key(4), "handle_read", Why::Event, 0);
    };
    assert!(
        spin(1_000, 2_000, &reads)[0].text.contains("Echo 4.1 is ready for reading, and nothing is read")
    );
    let asked = |hand: &mut Hand, _: usize| {
        hand.hook(key(4), "handle_write", Why::Asked, 0);
    };
    assert!(spin(1_000, 2_000, &asked)[0].text.contains("Echo 4.1 asks for writing and has nothing"));
    let late = |hand: &mut Hand, _: usize| {
        hand.hook(key(4), "handle_timeout", Why::Deadline, 0);
    };
    assert!(spin(1_000, 2_000, &late)[0].text.contains("the deadline of Echo 4.1 has always passed"));
    assert!(spin(1_000, 2_000, &|_, _| {})[0].text.contains("the wait ends at once, without an event"));
    let two = |hand: &mut Hand, poll: usize| {
        hand.event(key(poll as u64 % 2 + 3), 2);
    };
    assert_eq!(spin(1_000, 2_000, &two)[0].key, NO_KEY);
    // A little less often; a byte now and then, however busy the loop is; a new channel now and then.
    assert_eq!(spin(1_010_000, 5_000, &writes), []);
    let a_byte = |hand: &mut Hand, poll: usize| {
        writes(hand, poll);
        hand.moves(Kind::Write, key(3), u64::from(poll.is_multiple_of(900)), 0);
    };
    assert_eq!(spin(1_000, 20_000, &a_byte), []);
    let new = |hand: &mut Hand, poll: usize| {
        if poll.is_multiple_of(900) {
            hand.push(Record { key: key(8), ..Record::new(Kind::New) });
        }
    };
    assert_eq!(spin(1_000, 20_000, &new), []);
}

#[test]
fn the_accept_queue_is_nearly_full() {
    let queue = |lengths: &[u32]| {
        let mut hand = Hand::new();
        for a in lengths {
            hand.turn(MILLI).push(Record { key: key(1), a: *a, b: 128, ..Record::new(Kind::Queue) });
        }
        hand.findings("reactor")
    };
    assert_eq!(queue(&[102, 0, 102, 60]), []);
    let findings = queue(&[103, 90, 110, 64, 129]);
    let found: Vec<(&str, Severity)> =
        findings.iter().map(|finding| (&finding.text[..10], finding.severity)).collect();
    assert_eq!(found, [("103 of at ", Severity::Warning), ("129 of at ", Severity::Critical)]);
    assert!(findings[0].text.contains("of at most 128 connections wait for Echo 1.1 to accept them"));
}

#[test]
fn one_worker_has_a_larger_share() {
    let worker = |number: usize, count: usize| {
        let mut hand = Hand::default();
        hand.turn(MILLI);
        for index in 0..count {
            let (key, code) = (key(index as u64), Origin::Accepted as u8);
            hand.turn(0).push(Record { key, code, ..Record::new(Kind::New) });
        }
        hand.turn(SECOND);
        hand.of_worker("reactor", number)
    };
    let finding = Doctor::compare(&[worker(1, 100), worker(2, 33), worker(3, 50)]).expect("a finding");
    assert_eq!(finding.kind, FindingKind::Share);
    assert!(
        finding.text.starts_with("worker 1 accepted 100 connections, and worker 2 in the same time 33"),
        "{}",
        finding.text
    );
    assert_eq!(Doctor::compare(&[worker(1, 99), worker(2, 33)]), None);
    assert_eq!(Doctor::compare(&[worker(1, 29), worker(2, 0)]), None, "too few to say anything");
    assert_eq!(Doctor::compare(&[worker(1, 100)]), None);
    assert_eq!(Doctor::compare(&[worker(1, 100), worker(1, 0)]), None, "the same process twice");
}

#[test]
fn a_task_has_left_no_waker() {
    let pending = |ending| {
        let mut hand = Hand::new();
        hand.turn(MILLI).enter(TASK_BIT | 3, "poll", Why::Wake).exit(TASK_BIT | 3, "poll", ending);
        hand.findings("futures")
    };
    let findings = pending(Ending::Forgotten);
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].kind, findings[0].severity), (FindingKind::LostWaker, Severity::Critical));
    assert!(findings[0].text.starts_with("poll of task 3 returned Pending and has left no waker"));
    assert_eq!(pending(Ending::Pending), []);
    assert_eq!(pending(Ending::Returned), []);
}

/// While the loop runs, the same is told once a minute for each type of channel.
#[test]
fn a_live_doctor_does_not_repeat_itself() {
    let mut hand = Hand::new();
    for second in 0..100 {
        hand.turn(SECOND - 20 * MILLI).hook(key(3 + second % 2), "handle_read", Why::Event, 20 * MILLI);
    }
    let recording = hand.recording("reactor");
    let mut doctor = Doctor::live("reactor");
    let mut told = Vec::new();
    for (number, records) in recording.turns() {
        let (first, rest) = records.split_at(records.len() / 2);
        doctor.look(TurnRecords { number, first, rest }, &recording);
        told.extend(doctor.take().map(|finding| finding.time / SECOND));
    }
    assert_eq!(told, [0, 60]);
    assert_eq!(Doctor::examine(&recording).len(), 100);
}
