//! The oracles in `cargo test`: the corpus, short inputs, and a few hundred inputs of each kind.

mod inputs;
#[path = "../fuzz/oracle/mod.rs"]
mod oracle;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use inputs::{Oracle, body, config, damaged, head, replay_corpus, run_short_inputs, soup};
use oracle::connection;

/// The oracles, by the names of their targets and folders.
const TARGETS: [(&str, Oracle); 6] = [
    ("head", oracle::head),
    ("chunked", oracle::chunked),
    ("range", oracle::range),
    ("path", oracle::path),
    ("host", oracle::host),
    ("connection", connection),
];

#[test]
fn corpus() {
    TARGETS.iter().for_each(|(target, oracle)| replay_corpus(target, *oracle));
}

#[test]
fn short_inputs() {
    TARGETS.iter().for_each(|(_, oracle)| run_short_inputs(*oracle));
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..300u64, 1 => any::<u64>(), 1 => (u64::MAX - 3)..=u64::MAX, 1 => (1u64 << 63) - 1..(1 << 63) + 2]
}

fn ranges() -> impl Strategy<Value = Vec<u8>> {
    let spec = prop_oneof![
        (number(), number()).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
        (number(), number())
            .prop_map(|(first, length)| format!("{first}-{}", first.saturating_add(length % 9))),
        number().prop_map(|first| format!("{first}-")),
        number().prop_map(|suffix| format!("-{suffix}")),
        select(vec!["", " ", "\t0-0 "]).prop_map(String::from),
    ];
    (number(), vec(spec, 0..70)).prop_map(|(size, specs)| {
        [&size.to_le_bytes(), format!("bytes={}", specs.join(",")).as_bytes()].concat()
    })
}

fn target_path() -> impl Strategy<Value = Vec<u8>> {
    let plain = select(vec![".", "..", "", ".well-known", "a", "b.html", ".git", "%2e", "%2E.", "%20", "a%"]);
    let segment = prop_oneof![3 => plain.prop_map(|text| text.into()), 1 => vec(any::<u8>(), 0..4)];
    vec(segment, 0..7).prop_map(|segments: Vec<Vec<u8>>| segments.join(&b'/'))
}

fn authority() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        "[a-z0-9.-]{0,9}",
        "[!-~]{0,6}",
        "\\[[0-9a-f:.]{2,12}\\]",
        select(vec!["[::1]", "[v1.x]", "127.0.0.1", "%41"]).prop_map(String::from),
    ];
    let port = prop_oneof![Just(String::new()), "[:][0-9]{0,6}"];
    let around =
        select(vec![("", ""), ("", ""), ("http://", "/a?b"), ("HTTPS://", "?"), ("//", ""), ("u@", "")]);
    (name, port, around)
        .prop_map(|(name, port, (before, after))| format!("{before}{name}{port}{after}").into_bytes())
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
        TARGETS.iter().for_each(|(_, oracle)| oracle(&data));
    }

    #[test]
    fn heads(data in damaged(head())) {
        oracle::head(&data);
    }

    #[test]
    fn bodies(data in damaged(body())) {
        oracle::chunked(&data);
    }

    #[test]
    fn range_values(data in damaged(ranges())) {
        oracle::range(&data);
    }

    #[test]
    fn paths(data in damaged(target_path())) {
        oracle::path(&data);
    }

    #[test]
    fn hosts(data in damaged(authority())) {
        oracle::host(&data);
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
