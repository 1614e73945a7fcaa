//! The oracles in `cargo test`: what fuzzing has found, and a few hundred inputs that look like something.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

type Oracle = fn(&[u8]);

/// The oracles, by the names of their targets and folders.
const TARGETS: [(&str, Oracle); 6] = [
    ("head", super::head),
    ("chunked", super::chunked),
    ("range", super::range),
    ("path", super::path),
    ("host", super::host),
    ("connection", super::connection),
];

/// Every input in `tests/corpus/fuzz`: the corners that were picked by hand, and what fuzzing has found.
#[test]
fn the_corpus_is_replayed() {
    for (target, oracle) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/fuzz").join(target);
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
}

/// No input is so short that an oracle trips over itself.
#[test]
fn short_inputs() {
    for (_, oracle) in TARGETS {
        oracle(b"");
        (0..=255).for_each(|byte| oracle(&[byte]));
        (0..=255).for_each(|byte| oracle(&[1, byte, byte]));
    }
}

/// The words of the dictionary that libFuzzer has.
fn words() -> Vec<Vec<u8>> {
    let lines = include_str!("../../tests/fuzz/http.dict").lines();
    let quoted = lines.filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    let words: Vec<_> = quoted.map(unescape).collect();
    assert!(words.len() > 50, "{} words", words.len());
    words
}

/// `\xNN`, `\\` and everything else as it stands.
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
                assert!(piece.is_empty(), "what is escaped in {word}?");
                bytes.push(b'\\');
                bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
            }
        }
    }
    bytes
}

/// A few words and a few bytes in a row.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![3 => select(words()), 1 => vec(any::<u8>(), 0..4)];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// What `whole` makes, now and then with a word put into it or a stretch left out.
fn damaged(whole: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
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

/// The head of a request, mostly a valid one.
fn head() -> impl Strategy<Value = Vec<u8>> {
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

/// A chunked body, mostly a valid one.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let extension = select(vec!["", "", "", ";a", ";a=b;c=\"d\\\"\""]);
    let chunk = (vec(any::<u8>(), 1..40), extension).prop_map(|(data, extension)| {
        [format!("{:x}{extension}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat()
    });
    let end = select(vec!["0\r\n\r\n", "00\r\nX: y\r\n\r\n", "0;x\r\n\r\nGET", "0\r\nHost: a\r\n\r\n"]);
    (vec(chunk, 0..6), end).prop_map(|(chunks, end)| [chunks.concat(), end.into()].concat())
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
        .prop_map(|(name, port, (before, behind))| format!("{before}{name}{port}{behind}").into_bytes())
}

/// A request with a body that looks like a request.
fn smuggled(body: &[u8], chunked: bool) -> Vec<u8> {
    let length = body.len();
    let (field, before, behind) = match chunked {
        true => ("Transfer-Encoding: chunked".into(), format!("{length:x}\r\n"), "\r\n0\r\n\r\n"),
        false => (format!("Content-Length: {length}"), String::new(), ""),
    };
    let before = format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{before}");
    [before.as_bytes(), body, behind.as_bytes()].concat()
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
        let mut script = vec![limits, u8::try_from(steps.len()).expect("a few")];
        script.extend(steps.into_iter().flat_map(|(code, argument)| [code, argument]));
        script.extend(payload);
        script
    })
}

proptest! {
    // A finding becomes a file in the corpus by hand: a name says more than a seed does.
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn heads_mean_the_same_at_every_cut(data in damaged(head())) {
        super::head(&data);
    }

    #[test]
    fn soup_breaks_nothing(data in soup()) {
        TARGETS.iter().for_each(|(_, oracle)| oracle(&data));
    }

    #[test]
    fn bodies_end_where_they_end(data in damaged(body())) {
        super::chunked(&data);
    }

    #[test]
    fn ranges_lie_in_the_file(data in damaged(ranges())) {
        super::range(&data);
    }

    #[test]
    fn paths_go_down(data in damaged(path())) {
        super::path(&data);
    }

    #[test]
    fn hosts_are_one_host(data in damaged(host())) {
        super::host(&data);
    }

    #[test]
    fn connections_survive_any_script(data in script((0..12).collect())) {
        super::connection(&data);
    }

    /// Without timers, half-closes and shutdowns the answers are those to the whole stream at once.
    #[test]
    fn connections_answer_the_same_at_every_cut(data in script(vec![0, 1, 2, 3, 4, 5, 6, 9])) {
        super::connection(&data);
    }
}
