//! `tests/corpus/http1.json`: requests and their allowed outcomes, over every front and split.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stheno::files::FileService;

use crate::support::core::Outcome;
use crate::support::{Core, Dice, Folder, Response, Server, parse_all, rules};

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) payload: Vec<u8>,
    wants: Vec<Vec<u16>>,
    closes: bool,
}

pub(crate) fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let all: Value = serde_json::from_str(include_str!("../corpus/http1.json")).expect("JSON");
        let all = all.as_array().expect("a list");
        let cases: Vec<Case> = all.iter().map(case).collect();
        assert!(cases.len() >= 127, "the corpus only grows");
        cases
    })
}

fn case(value: &Value) -> Case {
    let text = |name: &str| value[name].as_str().expect("a string");
    let code = |code: &Value| u16::try_from(code.as_u64().expect("a number")).expect("a code");
    let wants = value["wants"].as_array().expect("a list").iter();
    Case {
        id: text("id").into(),
        payload: STANDARD.decode(text("payload")).expect("base64"),
        wants: wants.map(|codes| codes.as_array().expect("a list").iter().map(code).collect()).collect(),
        closes: value["closes"].as_bool().expect("a boolean"),
    }
}

impl Case {
    fn check(&self, responses: &[Response], how: &str) {
        let got: Vec<u16> = responses.iter().map(|response| response.status).collect();
        assert!(self.wants.contains(&got), "{} {how}: {got:?} is none of {:?}", self.id, self.wants);
        if self.closes {
            let last = responses.last().expect("a response");
            assert!(last.closes(), "{} {how}: the last response does not close", self.id);
        }
    }
}

/// RULES A65: no cut changes a status or a body.
#[test]
fn the_core_whole_and_cut_at_every_position() {
    let folder = Folder::new();
    let (mut core, mut dice) = (core(&folder), Dice::new(65));
    let (mut cuts, mut random) = (0, 0);
    for case in cases() {
        let whole = core.run([case.payload.as_slice()]);
        case.check(&parse_all(&whole.sent, "GET"), "whole");
        assert!(whole.ended || !case.closes, "{} does not end", case.id);
        let mut expect_same = |pieces: &[&[u8]]| {
            let parts = core.run(pieces.iter().copied());
            assert!(is_same(&parts, &whole), "{} cut at {}", case.id, pieces[0].len());
        };
        for cut in 1..case.payload.len() {
            let (first, second) = case.payload.split_at(cut);
            expect_same(&[first, second]);
            cuts += 1;
        }
        expect_same(&case.payload.chunks(1).collect::<Vec<_>>());
        for _ in 0..20 {
            expect_same(&dice.pieces(&case.payload, 9));
            random += 1;
        }
    }
    assert!(cuts > 100_000, "{cuts} cuts");
    let measured = format!(
        "{cuts} cuts in two, {random} into pieces of 1 to 9 bytes, and byte by byte, of {} cases: 0 differ",
        cases().len()
    );
    rules::holds("A65", measured, "≥ 100,000 splits, identical statuses and bodies");
}

fn core(folder: &Folder) -> Core {
    Core::new(FileService::open(&folder.root()).expect("a service"))
}

/// Whether both are equal, but for the boundary of a multipart response, which is random.
fn is_same(parts: &Outcome, whole: &Outcome) -> bool {
    let bodies = |outcome: &Outcome| -> Vec<(u16, Vec<u8>)> {
        let all = parse_all(&outcome.sent, "GET");
        all.into_iter().map(|r| (r.status, if r.status == 206 { Vec::new() } else { r.body })).collect()
    };
    parts.ended == whole.ended && (parts.sent == whole.sent || bodies(parts) == bodies(whole))
}

/// Sends a case and returns the responses. If the server need not close, the client closes its half.
fn over_the_wire(server: &Server, case: &Case, step: usize) -> Vec<Response> {
    let mut client = server.connect();
    for piece in case.payload.chunks(step) {
        client.try_send(piece);
    }
    if !case.closes {
        client.finish();
    }
    client.read_to_end("GET")
}

#[test]
fn the_server_whole_and_byte_by_byte() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["-w", "2"]);
    for case in cases() {
        case.check(&over_the_wire(&server, case, case.payload.len()), "whole over the wire");
        case.check(&over_the_wire(&server, case, 1), "byte by byte over the wire");
    }
}
