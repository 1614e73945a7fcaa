//! Inputs of the oracles: the corpus, short ones, and strategies for heads, bodies and arbitrary words.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A function that panics when an input breaks what must hold.
pub(super) type Oracle = fn(&[u8]);

/// Runs an oracle over every input in `tests/corpus/fuzz/TARGET`: corner cases, and the findings of libFuzzer.
pub(super) fn replay_corpus(target: &str, oracle: Oracle) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/fuzz").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).expect("a folder of inputs") {
        let path = entry.expect("an entry").path();
        let input = fs::read(&path).expect("an input");
        let outcome = std::panic::catch_unwind(|| oracle(&input));
        assert!(outcome.is_ok(), "{} breaks {target}", path.display());
        inputs += 1;
    }
    assert!(inputs >= 10, "{inputs} inputs in {}: the corpus only grows", folder.display());
}

/// Runs an oracle over inputs of 0, 1 and 3 bytes, which must not break the oracle itself.
pub(super) fn run_short_inputs(oracle: Oracle) {
    oracle(b"");
    (0..=255).for_each(|byte| oracle(&[byte]));
    (0..=255).for_each(|byte| oracle(&[1, byte, byte]));
}

/// No seeds are kept: a finding becomes a file of the corpus, whose name says more.
pub(super) fn config() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

/// The words of libFuzzer's dictionary.
fn words() -> Vec<Vec<u8>> {
    let lines = include_str!("../fuzz/http.dict").lines();
    let quoted = lines.filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    let words: Vec<_> = quoted.map(unescape).collect();
    assert!(words.len() > 50, "{} words", words.len());
    words
}

/// Decodes `\xNN` and `\\`.
fn unescape(word: &str) -> Vec<u8> {
    let mut pieces = word.split('\\');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    while let Some(piece) = pieces.next() {
        match piece.strip_prefix('x') {
            Some(code) => {
                bytes.push(u8::from_str_radix(&code[..2], 16).expect("two digits"));
                bytes.extend_from_slice(&code.as_bytes()[2..]);
            }
            None => {
                assert!(piece.is_empty(), "an unknown escape in {word}");
                bytes.push(b'\\');
                bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
            }
        }
    }
    bytes
}

/// A sequence of words and arbitrary bytes.
pub(super) fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![3 => select(words()), 1 => vec(any::<u8>(), 0..4)];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The values of `whole`; one in three with a word put in or a stretch left out.
pub(super) fn damaged(whole: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damage = prop_oneof![
        4 => Just(None),
        1 => (any::<Index>(), 0..3usize, select(words())).prop_map(Some),
        1 => (any::<Index>(), 0..3usize, vec(any::<u8>(), 0..2)).prop_map(Some),
    ];
    (whole, damage).prop_map(|(mut whole, damage)| {
        if let Some((at, count, word)) = damage {
            let at = at.index(whole.len() + 1);
            let end = (at + count).min(whole.len());
            whole.splice(at..end, word);
        }
        whole
    })
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "Connection: close\r\n",
            "Connection: Keep-Alive, te\r\n",
            "Content-Length: 3\r\n",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue\r\n",
            "Host: b\r\n",
        ])
        .prop_map(String::from),
        "[A-Za-z-]{1,9}:[ \t]{0,2}[!-~ ]{0,20}\r\n",
        "X{1,3}: y{30,50}\r\n",
    ]
}

/// The head of a request; most are valid.
pub(super) fn head() -> impl Strategy<Value = Vec<u8>> {
    let method = select(vec!["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "CONNECT", "BREW"]);
    let target = prop_oneof![
        4 => "/[a-z0-9%?./-]{0,20}",
        1 => "https?://[a-z.:0-9]{1,9}(/[a-z]{0,3})?(\\?x)?",
        1 => "[*]|[a-z]{1,3}:[0-9]{1,5}",
    ];
    let version = select(vec!["1.1", "1.1", "1.1", "1.0", "1.3", "2.0"]);
    let fields = vec(field(), 0..5);
    (method, target, version, fields, any::<bool>()).prop_map(|(method, target, version, fields, host)| {
        let host = if host { "Host: a:80\r\n" } else { "host:\t[::1]\r\n" };
        format!("{method} {target} HTTP/{version}\r\n{host}{}\r\n", fields.concat()).into_bytes()
    })
}

/// A chunked body; most are valid.
pub(super) fn body() -> impl Strategy<Value = Vec<u8>> {
    let extension = select(vec!["", "", "", ";a", ";a=b;c=\"d\\\"\""]);
    let chunk = (vec(any::<u8>(), 1..40), extension).prop_map(|(data, extension)| {
        [format!("{:x}{extension}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat()
    });
    let end = select(vec!["0\r\n\r\n", "00\r\nX: y\r\n\r\n", "0;x\r\n\r\nGET", "0\r\nHost: a\r\n\r\n"]);
    (vec(chunk, 0..6), end).prop_map(|(chunks, end)| [chunks.concat(), end.into()].concat())
}
