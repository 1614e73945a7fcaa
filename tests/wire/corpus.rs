//! `tests/corpus/http1.json`: requests, and the outcomes that are allowed, over every front and split.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stheno::clock::{DateCache, Now};
use stheno::files::FileService;
use stheno::http1::{Connection, Flushed, Settings, Turn};

use crate::support::{Folder, Response, Server, parse_all};

#[derive(Debug)]
struct Case {
    id: String,
    payload: Vec<u8>,
    wants: Vec<Vec<u16>>,
    closes: bool,
}

fn cases() -> &'static [Case] {
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
            let last = responses.last().expect("an answer");
            assert!(last.closes(), "{} {how}: the last answer does not close", self.id);
        }
    }
}

/// The core without a socket: feeds the pieces, takes everything out.
fn through_the_core<'p>(service: &FileService, pieces: impl Iterator<Item = &'p [u8]>) -> Vec<u8> {
    let (settings, mut dates, now) = (Settings::default(), DateCache::new(), Now::ask());
    let mut connection = Connection::new(now);
    let mut sent = Vec::new();
    for piece in pieces {
        // A budget for each read that the server would never give: the whole piece in one turn.
        let mut turn = Turn { now, settings: &settings, service, dates: &mut dates, requests: u32::MAX };
        connection.receive(piece, &mut turn);
        while connection.wants_write() {
            sent.extend(connection.output_mut().to_bytes().expect("output"));
            match connection.flushed(now) {
                Flushed::Resume => connection.resume(&mut turn),
                Flushed::CloseIfQuiet => drop(connection.close()),
                Flushed::Shutdown | Flushed::Close => {}
            }
        }
        if connection.is_closed() {
            break;
        }
    }
    sent
}

#[test]
fn the_core_whole_and_byte_by_byte() {
    let folder = Folder::new();
    let service = FileService::open(&folder.root()).expect("a service");
    for case in cases() {
        let whole = through_the_core(&service, std::iter::once(case.payload.as_slice()));
        case.check(&parse_all(&whole, "GET"), "whole");
        let bytewise = through_the_core(&service, case.payload.chunks(1));
        case.check(&parse_all(&bytewise, "GET"), "byte by byte");
    }
}

/// RULES A65: the cut changes nothing, neither status nor body.
#[test]
fn the_core_cut_at_every_position() {
    let folder = Folder::new();
    let service = FileService::open(&folder.root()).expect("a service");
    let mut cuts = 0;
    for case in cases() {
        let outcome = |bytes: &[u8]| -> Vec<(u16, Vec<u8>)> {
            let all = parse_all(bytes, "GET");
            // The boundary of a multipart answer is another each time.
            all.into_iter().map(|r| (r.status, if r.status == 206 { Vec::new() } else { r.body })).collect()
        };
        let whole = outcome(&through_the_core(&service, std::iter::once(case.payload.as_slice())));
        for cut in 1..case.payload.len() {
            let (first, second) = case.payload.split_at(cut);
            let parts = outcome(&through_the_core(&service, [first, second].into_iter()));
            assert_eq!(parts, whole, "{} cut at {cut}", case.id);
            cuts += 1;
        }
    }
    assert!(cuts > 100_000, "{cuts} cuts");
}

/// What the server sends in answer to a case. A case that need not close is ended by closing our half.
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
