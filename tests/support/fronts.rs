//! The two fronts that every request must come out the same over: the sans-I/O core, and the server on its
//! socket; whole, byte by byte, and (in the core) cut at every position.
//!
//! Behind each request stands a *canary*, a second one that is valid. If the first was understood it is
//! answered; behind a request that was refused, or was the last, it must never be: an answered canary is a
//! request that somebody has smuggled past the server in front of this one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stheno::files::FileService;

use super::core::{Core, Outcome};
use super::folder::Folder;
use super::response::{Response, parse_each};
use super::rules;
use super::server::{Front, Server};

/// The request behind each payload, and the body of its answer: no other request gets it.
pub const CANARY: &str = "GET /canary HTTP/1.1\r\nHost: canary\r\n\r\n";
const SUNG: &str = "the canary has sung\n";

/// Positions at which a payload is cut in two; a longer one is cut at so many of them, evenly spread.
const CUTS: usize = 1024;
const CUTS_OF_LONG: usize = 64;

/// Payloads beyond this go over the wire in pieces of several bytes rather than byte by byte.
const LONG: usize = 1500;

#[derive(Debug)]
pub struct Fronts {
    pub folder: Folder,
    pub server: Server,
}

impl Fronts {
    pub fn new() -> Self {
        let folder = Folder::new();
        folder.write("canary", SUNG);
        let server = Server::start(&folder.root(), &["-w", "2"]);
        Self { folder, server }
    }

    /// A core that serves the same folder.
    pub fn core(&self) -> Core {
        Core::new(FileService::open(&self.folder.root()).expect("a service"))
    }

    /// A row of the rules, to be tested here and then reported.
    pub fn row(&self, name: &'static str) -> Row<'_> {
        let (core, refused) = (self.core(), BTreeMap::new());
        Row {
            fronts: self,
            core,
            name,
            methods: vec!["GET"],
            refused,
            served: 0,
            last: 0,
            silent: 0,
            splits: 0,
        }
    }

    /// What the server sends in answer to the payload. One that need not end the connection is ended by closing
    /// our half.
    pub fn over_the_wire(&self, payload: &[u8], step: usize, ends: bool, methods: &[&str]) -> Vec<Response> {
        let mut client = self.server.connect();
        for piece in payload.chunks(step) {
            client.try_send(piece);
        }
        if !ends {
            client.finish();
        }
        client.read_each_to_the_close(methods)
    }
}

/// What has to come of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// One of these statuses, alone; the connection ends.
    Refused,
    /// These statuses in turn; the connection ends.
    Last,
    /// These statuses in turn, and then the canary's answer.
    Served,
    /// Nothing: no more comes than this, and it is not whole.
    Silent,
}

/// The cases of one row of the rules, and the count of what came of them.
#[derive(Debug)]
pub struct Row<'f> {
    fronts: &'f Fronts,
    core: Core,
    name: &'static str,
    methods: Vec<&'static str>,
    refused: BTreeMap<u16, usize>,
    served: usize,
    last: usize,
    silent: usize,
    splits: usize,
}

impl Row<'_> {
    /// The methods of the requests in the cases that follow, in turn; the last one goes for the rest.
    pub fn methods(&mut self, methods: &[&'static str]) -> &mut Self {
        self.methods = methods.to_vec();
        self
    }

    /// The core, for what is asked of it alone.
    pub fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    /// It is refused with one of `statuses`, the connection ends, and nothing behind it is answered.
    pub fn refuses(&mut self, statuses: &[u16], payload: impl AsRef<[u8]>) {
        let status = self.replay(payload.as_ref(), CANARY, statuses, End::Refused)[0];
        *self.refused.entry(status).or_default() += 1;
    }

    /// It is answered with `statuses`, and what stands behind it is a request of its own.
    pub fn serves(&mut self, statuses: &[u16], payload: impl AsRef<[u8]>) {
        self.replay(payload.as_ref(), CANARY, statuses, End::Served);
        self.served += 1;
    }

    /// It is answered with `statuses`, and then the connection ends: nothing behind it is answered.
    pub fn ends(&mut self, statuses: &[u16], payload: impl AsRef<[u8]>) {
        self.replay(payload.as_ref(), CANARY, statuses, End::Last);
        self.last += 1;
    }

    /// It stops in the middle, and so is never answered.
    pub fn stays_silent(&mut self, payload: impl AsRef<[u8]>) {
        self.replay(payload.as_ref(), "", &[], End::Silent);
        self.silent += 1;
    }

    fn replay(&mut self, payload: &[u8], behind: &str, wants: &[u16], end: End) -> Vec<u16> {
        let payload = [payload, behind.as_bytes()].concat();
        let whole = self.core.run([payload.as_slice()]);
        let statuses = self.check(&payload, &self.parse(&whole.sent), whole.ended, wants, end, "whole");
        // The core is the same one whatever stands before it: for its splits once is enough.
        if Front::of_this_crate() == Front::Reactor {
            self.expect_same(&payload, &whole, payload.chunks(1), "byte by byte");
            for cut in cuts(payload.len()) {
                let (first, second) = payload.split_at(cut);
                self.expect_same(&payload, &whole, [first, second], &format!("cut at {cut}"));
            }
        }
        let ends = matches!(end, End::Refused | End::Last);
        let small_step = if payload.len() > LONG { 61 } else { 1 };
        for (step, how) in [(payload.len(), "whole over the wire"), (small_step, "in pieces over the wire")] {
            let responses = self.fronts.over_the_wire(&payload, step, ends, &self.methods);
            let over_the_wire = self.check(&payload, &responses, ends, wants, end, how);
            assert_eq!(over_the_wire, statuses, "{} {how}: {}", self.name, shown(&payload));
        }
        statuses
    }

    fn parse(&self, sent: &[u8]) -> Vec<Response> {
        parse_each(sent, &self.methods)
    }

    fn expect_same<'p>(
        &mut self,
        payload: &[u8],
        whole: &Outcome,
        pieces: impl IntoIterator<Item = &'p [u8]>,
        how: &str,
    ) {
        let got = self.core.run(pieces);
        assert!(
            got == *whole,
            "{} {how}: {}\n{}\nrather than\n{}",
            self.name,
            shown(payload),
            shown(&got.sent),
            shown(&whole.sent)
        );
        self.splits += 1;
    }

    fn check(
        &self,
        payload: &[u8],
        responses: &[Response],
        ended: bool,
        wants: &[u16],
        end: End,
        how: &str,
    ) -> Vec<u16> {
        let mut got: Vec<u16> = responses.iter().map(|response| response.status).collect();
        let case = format!("{} {how}: {} came to {got:?}", self.name, shown(payload));
        let canaries = responses.iter().filter(|response| response.body == SUNG.as_bytes()).count();
        assert_eq!(canaries, usize::from(end == End::Served), "canaries; {case}");
        let closes = responses.last().is_some_and(Response::closes);
        assert_eq!(closes, matches!(end, End::Refused | End::Last), "whether it closes; {case}");
        assert_eq!(ended, closes, "whether it ended; {case}");
        match end {
            End::Refused => assert!(got.len() == 1 && wants.contains(&got[0]), "not {wants:?} alone; {case}"),
            End::Last | End::Silent => assert_eq!(got, wants, "{case}"),
            End::Served => {
                assert_eq!(got.pop(), Some(200), "{case}");
                assert_eq!(got, wants, "{case}");
            }
        }
        got
    }

    /// Reports the row. (`rules::holds`)
    pub fn holds(self, bar: &str) {
        let mut measured = String::new();
        for (status, count) in &self.refused {
            let _ = write!(measured, "{count} refused with {status}, ");
        }
        for (count, what) in
            [(self.served, "served"), (self.last, "served and closed"), (self.silent, "not answered")]
        {
            if count > 0 {
                let _ = write!(measured, "{count} {what}, ");
            }
        }
        rules::holds(self.name, format_args!("{measured}{} splits, 0 canaries", self.splits), bar);
    }
}

fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let stride = if length > CUTS { length.div_ceil(CUTS_OF_LONG) } else { 1 };
    (1..length).step_by(stride)
}

/// The beginning of a payload, readable.
fn shown(bytes: &[u8]) -> String {
    format!("\"{}\" ({} bytes)", bytes[..bytes.len().min(400)].escape_ascii(), bytes.len())
}
