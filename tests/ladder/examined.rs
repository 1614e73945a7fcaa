//! What `examples/recording.rs` says of the recordings of rungs.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::rung::{Rung, run};

/// Two clients, one after the other, whose echoes are read to the end.
fn talk(rung: &Rung) {
    for text in ["hello", "a longer line, and one more\n"] {
        let mut client = rung.connect();
        client.write_all(text.as_bytes()).expect("send");
        client.shutdown(Shutdown::Write).expect("shutdown");
        let mut echo = String::new();
        client.read_to_string(&mut echo).expect("the echo");
        assert_eq!(echo, text);
    }
}

#[test]
fn the_lines_of_a_recording_are_those_of_the_loop() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["tcp_select", "tcp_mio", "tcp_reactor"] {
        let file = folder.path().join(name).display().to_string();
        let rung = Rung::start(name, &["--loop", "--record", &file]);
        talk(&rung);
        let live: Vec<String> = rung.stop().err;
        let is_of_the_loop =
            |line: &&String| ["turn ", "start", "    "].iter().any(|begin| line.starts_with(begin));
        let live: Vec<&String> = live.iter().filter(is_of_the_loop).collect();
        let (code, lines, error) = run("recording", &["lines", &file]);
        assert_eq!((code, error.as_str()), (0, ""), "{name}");
        assert!(live.len() > 5, "{name}: {live:#?}");
        assert_eq!(lines.lines().collect::<Vec<_>>(), live, "{name}");
    }
}

#[test]
fn a_recording_is_examined_and_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("web.rec").display().to_string();
    let rung = Rung::start("web_reactor", &["--db", "20", "--record", &file]);
    let mut client = rung.connect();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("send");
    client.read_to_end(&mut Vec::new()).expect("a response");
    rung.stop();
    let (code, json, _) = run("recording", &["doctor", "--json", &file]);
    let findings: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    // A machine with other work may make a hook slow; it loses no byte, and does not spin.
    let kinds: Vec<&str> =
        findings.as_array().expect("a list").iter().filter_map(|one| one["kind"].as_str()).collect();
    assert!(code == 0 && kinds.iter().all(|kind| ["slow_hook", "wait_behind"].contains(kind)), "{json}");
    let (code, trace, _) = run("recording", &["chrome", &file]);
    let trace: serde_json::Value = serde_json::from_str(&trace).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let named = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert!(code == 0 && named("read") >= 1 && named("write") >= 1 && named("wait") >= 2, "{events:#?}");
}

#[test]
fn what_is_no_recording_is_one_clear_line() {
    for (words, want, says) in [
        (&[][..], 2, "subcommand"),
        (&["lines"], 2, "file"),
        (&["--prot"], 2, "--prot"),
        (&["doctor", "/nonexistent.rec"], 1, "/nonexistent.rec: "),
        (&["chrome", "/proc/self/status"], 1, "is it a recording?"),
    ] {
        let (code, out, error) = run("recording", words);
        assert_eq!((code, out.as_str(), error.lines().count()), (want, "", 1), "{words:?}: {error}");
        assert!(error.starts_with("recording: ") && error.contains(says), "{error}");
    }
}
