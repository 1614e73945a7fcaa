//! The example of README.md, compiled and run.

use stheno::chat::{Chat, Handler};

/// Sends every line back. The terminator of its `Chat` is CR LF.
#[derive(Debug, Default)]
struct Echo(Vec<u8>);

impl Handler for Echo {
    fn collect_incoming_data(&mut self, _: &mut Chat, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    fn found_terminator(&mut self, chat: &mut Chat) {
        chat.push(&std::mem::take(&mut self.0));
        chat.push(b"\r\n");
    }
}

#[test]
fn the_readme_shows_what_is_compiled() {
    let readme = include_str!("../../README.md");
    let shown =
        readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert!(shown.lines().count() > 10, "the example is too short: {shown}");
    assert!(
        include_str!("readme.rs").contains(shown),
        "tests/oracle/readme.rs differs from README.md:\n{shown}"
    );
}

#[test]
fn the_example_echoes() {
    let (mut chat, mut echo) = (Chat::new(stheno::chat::Terminator::bytes(b"\r\n")), Echo::default());
    for piece in [&b"one\r"[..], b"\ntwo\r\nthr"] {
        chat.receive(piece, &mut echo);
    }
    assert_eq!(chat.output().to_bytes().expect("bytes only"), b"one\r\ntwo\r\n");
    assert_eq!(echo.0, b"thr");
}
