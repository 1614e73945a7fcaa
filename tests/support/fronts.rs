//! The two fronts that must give the same response to each request: the sans-I/O core, and the server on its
//! socket; the request is sent whole, byte by byte, and (to the core) cut at every position.
//!
//! Each request is followed by a *canary*, a second request that is valid. After a request that was understood,
//! the canary gets its response. After a refused or last request it must not: that would be a request smuggled
//! past the server in front of this one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stheno::files::FileService;

use super::core::{Core, Outcome};
use super::folder::Folder;
use super::response::{Response, parse_each};
use super::rules;
use super::server::{Front, Server};

/// The request after each payload, and the body of its response, which no other request gets.
pub const CANARY: &str = "GET /canary HTTP/1.1\r\nHost: canary\r\n\r\n";
const SUNG: &str = "the canary has sung\n";

/// Positions at which a payload is cut in two: all of them, or `CUTS_OF_LONG` at equal distances in a longer
/// payload.
const CUTS: usize = 1024;
const CUTS_OF_LONG: usize = 64;

/// Payloads longer than this go over the wire in pieces of several bytes instead of byte by byte.
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

    /// Starts a row of the rules; [`Row::holds`] reports it.
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

    /// Sends the payload and returns the responses. If the server need not close (`ends` is false), the client
    /// closes its half.
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

/// The expected outcome of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// One response with one of these statuses; the connection ends.
    Refused,
    /// Responses with these statuses in turn; the connection ends.
    Last,
    /// Responses with these statuses in turn, and then the canary's.
    Served,
    /// No response, because the request is incomplete.
    Silent,
}

/// The cases of one row of the rules, and the counts of their outcomes.
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
    /// Sets the methods of the requests in the next cases, in turn; the last one is repeated.
    pub fn methods(&mut self, methods: &[&'static str]) -> &mut Self {
        self.methods = methods.to_vec();
        self
    }

    /// The core, for tests without the wire.
    pub fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    /// The payload is refused with one of `statuses`, the connection ends, and the canary gets no response.
    pub fn refuses(&mut self, statuses: &[u16], payload: impl AsRef<[u8]>) {
        let status = self.replay(payload.as_ref(), CANARY, statuses, End::Refused)[0];
        *self.refused.entry(status).or_default() += 1;
    }

    /// The payload gets responses with `statuses`, and the canary is a request of its own.
    pub fn serves(&mut self, statuses: &[u16], payload: impl AsRef<[u8]>) {
        self.replay(payload.as_ref(), CANARY, statuses, End::Served);
        self.served += 1;
    }

    /// The payload gets responses with `statuses`, and the connection ends before the canary.
    pub fn ends(&mut self, statuses: &[u16], payload: impl AsRef<[u8]>) {
        self.replay(payload.as_ref(), CANARY, statuses, End::Last);
        self.last += 1;
    }

    /// The payload is incomplete, so it gets no response.
    pub fn stays_silent(&mut self, payload: impl AsRef<[u8]>) {
        self.replay(payload.as_ref(), "", &[], End::Silent);
        self.silent += 1;
    }

    fn replay(&mut self, payload: &[u8], behind: &str, wants: &[u16], end: End) -> Vec<u16> {
        let payload = [payload, behind.as_bytes()].concat();
        let whole = self.core.run([payload.as_slice()]);
        let statuses = self.check(&payload, &self.parse(&whole.sent), whole.ended, wants, end, "whole");
        // The core behaves the same for each method list, so each payload is split once only.
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
            "{} {how}: {}\n{}\ninstead of\n{}",
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
        let case = format!("{} {how}: {} got {got:?}", self.name, shown(payload));
        let canaries = responses.iter().filter(|response| response.body == SUNG.as_bytes()).count();
        assert_eq!(canaries, usize::from(end == End::Served), "canaries; {case}");
        let closes = responses.last().is_some_and(Response::closes);
        assert_eq!(closes, matches!(end, End::Refused | End::Last), "the Connection field; {case}");
        assert_eq!(ended, closes, "the end of the connection; {case}");
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
            [(self.served, "served"), (self.last, "served and closed"), (self.silent, "without a response")]
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
