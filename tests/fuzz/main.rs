//! The oracle of whole connections in `cargo test`: the corpus, short inputs, and scripts of a peer.

mod inputs;
mod oracle;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use inputs::{body, config, damaged, head, replay_corpus, run_short_inputs, soup};
use oracle::connection;

#[test]
fn corpus() {
    replay_corpus("connection", connection);
}

#[test]
fn short_inputs() {
    run_short_inputs(connection);
}

/// A request with a body that looks like a request.
fn smuggled(body: &[u8], chunked: bool) -> Vec<u8> {
    let length = body.len();
    let (field, before, after) = match chunked {
        true => ("Transfer-Encoding: chunked".into(), format!("{length:x}\r\n"), "\r\n0\r\n\r\n"),
        false => (format!("Content-Length: {length}"), String::new(), ""),
    };
    let before = format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{before}");
    [before.as_bytes(), body, after.as_bytes()].concat()
}

/// A script whose steps have one of these codes.
fn script(codes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let steps = vec((select(codes), any::<u8>()), 0..16);
    let message = prop_oneof![
        6 => head(),
        2 => (select(vec!["l", "f", "p", "n", "m", "e", "c", "a"])).prop_map(|path| {
            format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
        }),
        2 => (head(), body()).prop_map(|(head, body)| [head, body].concat()),
        2 => (head(), 0..150usize, any::<bool>()).prop_map(|(inner, padding, chunked)| {
            smuggled(&[vec![b'x'; padding], inner].concat(), chunked)
        }),
        1 => soup(),
    ];
    let payload = damaged(vec(message, 0..8).prop_map(|messages| messages.concat()));
    (0..2u8, steps, payload).prop_map(|(limits, steps, payload)| {
        let mut script = vec![limits, u8::try_from(steps.len()).expect("at most 15")];
        script.extend(steps.into_iter().flat_map(|(code, argument)| [code, argument]));
        script.extend(payload);
        script
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes(data in soup()) {
        connection(&data);
    }

    #[test]
    fn any_script(data in script((0..12).collect())) {
        connection(&data);
    }

    /// Without timers, half-closes and shutdowns the responses are those to the whole stream at once.
    #[test]
    fn any_cut(data in script(vec![0, 1, 2, 3, 4, 5, 6, 9])) {
        connection(&data);
    }
}
