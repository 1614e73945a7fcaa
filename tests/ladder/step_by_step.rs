//! `--step`: a loop that waits for a line before each turn.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::recorded::read;
use crate::rung::{PATIENCE, Rung};

fn echoes(client: &mut TcpStream, text: &[u8]) {
    client.write_all(text).expect("send");
    hear(client, text);
}

fn hear(client: &mut TcpStream, text: &[u8]) {
    let mut heard = vec![0; text.len()];
    client.read_exact(&mut heard).expect("an echo");
    assert_eq!(heard, text);
}

/// Whether something comes within a time that is long enough for a turn.
fn has_input_soon(client: &TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
    let is_there = client.peek(&mut [0; 1]).is_ok();
    client.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    is_there
}

/// The loop does not turn.
fn hears_nothing(client: &mut TcpStream) {
    assert!(!has_input_soon(client), "the loop is not paused");
}

/// Waits for the line of turn `number`; the file has the turn already.
fn is_at(rung: &Rung, file: &Path, number: u64) {
    rung.wait_for(&format!("turn {number}  "));
    let recording = read(file);
    assert_eq!(recording.totals["turns"], number);
    assert_eq!(recording.turns().last().map(|(number, _)| number), Some(number));
    let next = format!("turn {}  ", number + 1);
    assert!(!rung.err().iter().any(|line| line.starts_with(&next)), "more than one turn");
}

#[test]
fn an_empty_line_is_one_turn() {
    for (name, turns_of_an_echo) in [("tcp_select", 2), ("tcp_mio", 1), ("tcp_reactor", 1)] {
        let place = tempfile::tempdir().expect("a temporary folder");
        let file = place.path().join("step.rec");
        let options = ["--loop", "--step", "--record", file.to_str().expect("UTF-8")];
        let (rung, mut input) = Rung::start_with_input(name, &options);
        rung.wait_for("start");
        assert_eq!(read(&file).totals["turns"], 0);
        let mut client = rung.connect();
        hears_nothing(&mut client);
        assert!(!rung.err().iter().any(|line| line.starts_with("turn ")), "{:?}", rung.err());
        input.write_all(b"\n").expect("a line");
        is_at(&rung, &file, 1);
        let mut turns = 1;
        // The kernel reports that there is room.
        if name == "tcp_mio" {
            input.write_all(b"\n").expect("a line");
            turns += 1;
            is_at(&rung, &file, turns);
        }
        client.write_all(b"one\n").expect("send");
        hears_nothing(&mut client);
        for _ in 0..turns_of_an_echo {
            input.write_all(b"\n").expect("a line");
            turns += 1;
            is_at(&rung, &file, turns);
        }
        hear(&mut client, b"one\n");
        // Ctrl+C needs no line.
        hears_nothing(&mut client);
        let transcript = rung.stop();
        assert!(transcript.status.success(), "{transcript:?}");
        drop(input);
    }
}

#[test]
fn it_runs_and_pauses() {
    let (rung, mut input) = Rung::start_with_input("tcp_reactor", &["--step"]);
    input.write_all(b"run\n").expect("a line");
    let mut client = rung.connect();
    for number in 0..20 {
        echoes(&mut client, format!("{number}\n").as_bytes());
    }
    input.write_all(b"pause\n").expect("a line");
    // A loop that waits already turns once more.
    client.write_all(b"first\n").expect("send");
    let text: &[u8] = if has_input_soon(&client) {
        hear(&mut client, b"first\n");
        client.write_all(b"next\n").expect("send");
        b"next\n"
    } else {
        b"first\n"
    };
    hears_nothing(&mut client);
    input.write_all(b"\n").expect("a line");
    hear(&mut client, text);
    client.write_all(b"paused again\n").expect("send");
    hears_nothing(&mut client);
    // At the end of input the loop runs.
    drop(input);
    hear(&mut client, b"paused again\n");
    for number in 0..20 {
        echoes(&mut client, format!("{number}\n").as_bytes());
    }
    assert!(rung.stop().status.success());
}
