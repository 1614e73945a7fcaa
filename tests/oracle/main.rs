//! `stheno::chat` compared with CPython's own asynchat, and a check of every name.
//!
//! Compared call by call: each `collect_incoming_data` with its bytes, each `found_terminator`, all bytes sent
//! in a step, and the close. Both sides read each piece that the peer sends with one read, so even the lengths
//! of the parts have to be equal. Not compared: *when within a step* output leaves (asynchat sends at every
//! `push`, we send once, after the hooks), and what the peer gets of output that is discarded while it leaves.
//! Intended differences are marked *adapted* in `docs/DICTIONARY.md`.

mod dictionary;
mod readme;
mod script;
mod sockets;

use std::fs;
use std::path::PathBuf;

use script::{Events, Script, Step, shown};
use serde_json::{Value, json};

/// The variable with the path of more scripts, made by `oracle.py scripts N`; `scripts/test` sets it.
const MORE: &str = "STHENO_ORACLE";

fn recorded() -> Vec<Script> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/expected.jsonl");
    Script::all(&fs::read_to_string(path).expect("tests/oracle/expected.jsonl"))
}

/// Runs a script on `Chat`, without a socket; returns the events of each step.
fn replay(script: &Script) -> Vec<Vec<Value>> {
    let calls = Events::default();
    let (mut chat, mut player) = script.begin(&calls);
    let mut all = Vec::new();
    for step in script.steps().into_iter().map(Some).chain([None]) {
        match &step {
            Some(Step::In(bytes)) => chat.receive(bytes, &mut player),
            Some(Step::Do(actions)) => player.act(&mut chat, actions),
            None => chat.receive(b"", &mut player),
        }
        let wire = chat.output().to_bytes().expect("producers without faults");
        let mut events = calls.take();
        // asynchat closes at the end of file and sends nothing more; here queued output is still sent.
        if !wire.is_empty() && step.is_some() {
            events.push(json!(["wire", shown(&wire)]));
        }
        let is_over = step.is_none() || chat.output().is_done();
        if is_over {
            events.push(json!(["close"]));
        }
        all.push(events);
        if is_over {
            break;
        }
    }
    all
}

fn compare(scripts: &[Script]) {
    let mut events = 0;
    for script in scripts {
        let (ours, theirs) = (replay(script), script.events());
        for (step, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert!(
                ours == theirs,
                "script {}, step {step}: asynchat {theirs:?}, we {ours:?}; {script:?}",
                script.number()
            );
            events += ours.len();
        }
        assert_eq!(ours.len(), theirs.len(), "script {}: the closes differ", script.number());
    }
    println!("{} scripts, {events} events", scripts.len());
}

#[test]
fn what_asynchat_does_we_do() {
    let scripts = recorded();
    assert_eq!(scripts.len(), 500);
    compare(&scripts);
}

#[test]
fn what_asynchat_does_we_do_in_many_more_scripts() {
    let Some(path) = std::env::var_os(MORE) else {
        println!("not run: {MORE} names no file (oracle.py scripts 10000 makes one)");
        return;
    };
    let scripts = Script::all(&fs::read_to_string(path).expect("the file that STHENO_ORACLE names"));
    assert!(scripts.len() >= 10_000, "{} scripts", scripts.len());
    compare(&scripts);
}
