//! Lines of turns that are made by hand.

use super::super::doctor::Doctor;
use super::super::reader::Recording;
use super::*;

/// Names by number, and the type of every channel.
struct Names(Keys, &'static str);

const NAMES: [&str; 6] = ["", "Client", "handle_read", "handle_write", "Reading", "Asking"];

impl Book for Names {
    fn name(&self, number: u16) -> &str {
        NAMES[usize::from(number)]
    }

    fn type_of(&self, _: u64) -> u16 {
        1
    }

    fn keys(&self) -> Keys {
        self.0
    }

    fn kind(&self) -> &str {
        self.1
    }
}

const REACTOR: Names = Names(Keys::Slab, "reactor");

fn wait(most: u64) -> [Record; 2] {
    let turn = Record { time: 38_000, a: 1, ..Record::new(Kind::Turn) };
    [Record { b: most, ..Record::new(Kind::Wait) }, turn]
}

fn of(kind: Kind, key: u64) -> Record {
    Record { key, time: 38_000, ..Record::new(kind) }
}

fn enter(key: u64, name: u16) -> Record {
    Record { name, ..of(Kind::Enter, key) }
}

fn exit(key: u64, time: u64) -> Record {
    Record { time, ..of(Kind::Exit, key) }
}

fn moved(kind: Kind, b: u64, code: u8) -> Record {
    Record { b, code, ..of(kind, 3) }
}

fn lines(wait: [Record; 2], rest: &[Record], book: &Names) -> String {
    of_turn(7, &[&wait, rest].concat(), book)
}

#[test]
fn one_hook_is_one_line() {
    let state = Record { name: 5, a: 4, ..of(Kind::State, 3) };
    let rest = [enter(3, 2), moved(Kind::Read, 52, 0), exit(3, 38_000), state];
    assert_eq!(
        lines(wait(ENDLESS), &rest, &REACTOR),
        "turn 7  waited 38 µs of ∞, 1 event  Client 3.0 handle_read (event): read 52 B, Reading → Asking\n"
    );
    assert_eq!(lines(wait(60_000_000_000), &[], &REACTOR), "turn 7  waited 38 µs of 60 s, 1 event\n");
    assert_eq!(lines(wait(ENDLESS), &[], &Names(Keys::Slab, "tokio")), "turn 7  waited 38 µs\n");
    assert_eq!(of_turn(7, &[], &REACTOR) + &of_turn(7, &wait(0)[..1], &REACTOR), "");
}

#[test]
fn select_says_how_many_it_asked_about() {
    let mut asked = wait(ENDLESS);
    asked[0].a = 64;
    let new = Record { a: 9, ..of(Kind::New, 9) };
    assert_eq!(
        lines(asked, &[new], &Names(Keys::Descriptor, "select")),
        "turn 7  waited 38 µs of ∞, asked about 64, 1 ready  Client fd 9: new\n"
    );
    assert!(lines(asked, &[new], &Names(Keys::Token, "mio")).ends_with("Client token 9: new, fd 9\n"));
}

#[test]
fn an_event_without_a_hook_is_told() {
    let event = Record { code: ready::READ | ready::WRITE, ..of(Kind::Event, 3) };
    assert!(lines(wait(0), &[event], &REACTOR).ends_with("  Client 3.0: readable and writable\n"));
    let with_hook = lines(wait(0), &[event, enter(3, 2), exit(3, 38_000)], &REACTOR);
    assert!(with_hook.ends_with("  Client 3.0 handle_read (event)\n"), "{with_hook}");
}

#[test]
fn a_hook_within_a_hook_is_indented() {
    let rest = [enter(3, 2), enter(4, 3), exit(4, 1_038_000), exit(3, 2_038_000)];
    assert_eq!(
        lines(wait(0), &rest, &REACTOR),
        "turn 7  waited 38 µs of 0 ns, 1 event\n    \
         Client 3.0 handle_read (event): took 2.0 ms\n      \
         Client 4.0 handle_write (event): took 1.0 ms\n"
    );
}

#[test]
fn results_of_input_and_output_are_words() {
    for (record, words) in [
        (moved(Kind::Read, 0, moved::END), "read the end"),
        (moved(Kind::Read, 0, moved::BLOCKED), "read nothing: would block"),
        (moved(Kind::Read, 9_999, moved::BLOCKED), "read 9999 B"),
        (moved(Kind::Read, 65_536, moved::SPENT), "read 64 KiB, share spent"),
        (moved(Kind::Read, 0, moved::FAILED), "read 0 B, failed"),
        (moved(Kind::Write, 0, moved::BLOCKED), "wrote nothing: no room"),
        (moved(Kind::Write, 20 << 20, moved::BLOCKED), "wrote 20 MiB, no room"),
        (moved(Kind::Close, 12, 0), "closed, 12 B lost"),
    ] {
        assert_eq!(text(&record, &REACTOR).as_deref(), Some(words));
    }
}

#[test]
fn no_line_is_wider_than_a_screen() {
    let many: Vec<Record> = (0..40).map(|_| moved(Kind::Read, 1000, 0)).collect();
    let told = lines(wait(ENDLESS), &[&[enter(3, 2)][..], &many].concat(), &REACTOR);
    assert!(told.lines().count() > 4 && told.lines().all(|line| line.chars().count() <= WIDTH), "{told}");
    assert_eq!(told.matches("read 1000 B").count(), 40);
    assert!(told.lines().skip(2).all(|line| line.starts_with("        read 1000 B")), "{told}");
    // As wide as a screen, and a character wider.
    let part = |length: usize| format!("{}, {}", "a".repeat(50), "b".repeat(length));
    assert_eq!(wrapped(&part(WIDTH - 57)), format!("    {}", part(WIDTH - 57)));
    assert_eq!(wrapped(&part(WIDTH - 55)).lines().count(), 2);
}

#[test]
fn a_turn_of_many_channels_is_elided() {
    let hooks =
        |count: u64| (0..count).flat_map(|key| [enter(key, 2), exit(key, 38_000)]).collect::<Vec<_>>();
    let told = lines(wait(ENDLESS), &hooks(68), &REACTOR);
    assert_eq!(told.lines().count(), 1 + MOST + 1);
    assert!(told.ends_with("    Client 15.0 handle_read (event)\n    … and 52 more\n"), "{told}");
    assert_eq!(lines(wait(ENDLESS), &hooks(16), &REACTOR).lines().count(), 1 + MOST);
}

#[test]
fn times_have_two_or_three_digits() {
    for (nanos, text) in [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.0 µs"),
        (9_949, "9.9 µs"),
        (9_950, "10 µs"),
        (38_400, "38 µs"),
        (999_499, "999 µs"),
        (1_500_000, "1.5 ms"),
        (300_000_000, "300 ms"),
        (60_000_000_000, "60 s"),
    ] {
        assert_eq!(time(Duration::from_nanos(nanos)), text);
    }
}

/// A recording of a thread, by its system calls: it blocks in a recv of A, while B waits in the accept queue from `since` on.
fn blocking(kind: &str, since: u64) -> Recording {
    let head = format!(
        "stheno recording 1\nprogram p\nloop {kind}\ntells read write call queue\nkeys descriptor\n\
         name 1 accept\nname 2 connection\nname 3 recv\nclient B 127.0.0.1:42\nqueued 127.0.0.1:42 {since}\n\
         records 7\n\n"
    );
    let of = |kind, time, code, name, b| Record { time, key: 4, code, name, b, ..Record::new(kind) };
    let none = |record: Record| Record { key: NO_KEY, ..record };
    let records = [
        none(of(Kind::Wait, 0, 0, 1, ENDLESS)),
        none(Record { a: 1, ..of(Kind::Turn, 2_000_000, 0, 0, 0) }),
        of(Kind::New, 2_000_000, 1, 2, NO_KEY),
        of(Kind::Enter, 2_000_000, Why::Program as u8, 3, 0),
        of(Kind::Read, 302_000_000, 0, 0, 23),
        of(Kind::Exit, 302_000_000, 0, 3, 0),
        of(Kind::Close, 303_000_000, 0, 0, 0),
    ];
    let bytes = records.iter().flat_map(Record::to_bytes);
    Recording::parse(&head.into_bytes().into_iter().chain(bytes).collect::<Vec<u8>>()).unwrap()
}

#[test]
fn a_call_that_blocks_names_who_waits_to_be_accepted() {
    let waits = "\n    connection fd 4 recv: blocked for 300 ms, read 23 B, meanwhile B waited in the accept queue, closed\n";
    let text = blocking("blocking", 100_000_000).lines();
    assert_eq!(text, format!("turn 1  accept waited 2.0 ms\n    connection fd 4: new{waits}"));
    // It comes when the call is over.
    assert!(!blocking("blocking", 302_000_000).lines().contains("accept queue"));
}

#[test]
fn a_call_that_blocks_is_found_where_others_wait_for_it() {
    let found = |kind, since| Doctor::examine(&blocking(kind, since));
    let slow = found("blocking", 100_000_000);
    assert_eq!(slow.len(), 1, "{slow:#?}");
    assert_eq!(
        slow[0].text,
        "recv of connection fd 4 blocked for 300 ms; 1 connection waited to be accepted"
    );
    assert_eq!(found("blocking", 302_000_000), []);
    // A loop must not block, even if nobody waits yet.
    let alone = found("select", 302_000_000);
    assert_eq!(alone[0].text, "recv of connection fd 4 blocked for 300 ms; nothing waited behind it");
}
