//! The oracles in `cargo test`: the corpus, short inputs, and a few hundred inputs of each kind.

#[path = "../../tests/fuzz/inputs.rs"]
mod inputs;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use inputs::{Oracle, body, config, damaged, head, replay_corpus, run_short_inputs, soup};

/// The oracles, by the names of their targets and folders.
const TARGETS: [(&str, Oracle); 5] = [
    ("head", super::head),
    ("chunked", super::chunked),
    ("range", super::range),
    ("path", super::path),
    ("host", super::host),
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

fn path() -> impl Strategy<Value = Vec<u8>> {
    let plain = select(vec![".", "..", "", ".well-known", "a", "b.html", ".git", "%2e", "%2E.", "%20", "a%"]);
    let segment = prop_oneof![3 => plain.prop_map(|text| text.into()), 1 => vec(any::<u8>(), 0..4)];
    vec(segment, 0..7).prop_map(|segments: Vec<Vec<u8>>| segments.join(&b'/'))
}

fn host() -> impl Strategy<Value = Vec<u8>> {
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

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes(data in soup()) {
        TARGETS.iter().for_each(|(_, oracle)| oracle(&data));
    }

    #[test]
    fn heads(data in damaged(head())) {
        super::head(&data);
    }

    #[test]
    fn bodies(data in damaged(body())) {
        super::chunked(&data);
    }

    #[test]
    fn range_values(data in damaged(ranges())) {
        super::range(&data);
    }

    #[test]
    fn paths(data in damaged(path())) {
        super::path(&data);
    }

    #[test]
    fn hosts(data in damaged(host())) {
        super::host(&data);
    }
}
