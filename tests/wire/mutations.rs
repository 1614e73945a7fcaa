//! Requests made from others: a change without meaning must change no response, and a broken rule must be refused
//! in any request.
//!
//! The valid requests are those of the corpus and some more. A *rewording* says the same in other bytes (case, white
//! space, order, framing, cuts) and has to get the same responses. A *damage* breaks one rule of the grammar in one of
//! the pipelined requests: the requests before it are served, it is refused, and the canary after it gets no response.

mod damage;
mod message;
mod rewording;

use super::corpus;
use crate::support::fronts::CANARY;
use crate::support::{Core, Response, parse_each};
use message::Message;

/// One of `OVER_THE_WIRE` mutations also goes over the wire, because a connection costs more than a call.
const OVER_THE_WIRE: usize = 40;

/// Requests on one connection, and their outcome.
#[derive(Debug)]
struct Subject {
    id: String,
    messages: Vec<Message>,
    outcome: Vec<(u16, Vec<u8>)>,
    ended: bool,
}

/// Valid requests besides those of the corpus.
const VALID: [&str; 27] = [
    "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a:80\r\nUser-Agent: x\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n\r\n",
    "HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /big HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\n\r\n",
    "HEAD /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "BREW /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    "get /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "GET /sub?a=b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /ok?a=%20&b=/? HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost:\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: TE,,x\r\nTE: trailers\r\n\r\n",
    "GET /ok HTTP/1.0\r\n\r\n",
    "GET /ok HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /ok HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
    "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    "GET /big HTTP/1.1\r\nHost: a\r\nRange: bytes=5-9\r\nIf-Range: \"x\"\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\n",
    "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Length: 27\r\n\r\nGET /canary HTTP/1.1\r\nHost:",
    "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\nc\r\n0\r\n\r\nPUT / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n0\r\n\r\nPUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\
     HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "DELETE /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /sub/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a/ok HTTP/1.1\r\nHost: b\r\n\r\nGET //sub HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// Statuses of requests that were understood completely.
const UNDERSTOOD: [u16; 9] = [200, 204, 206, 301, 304, 404, 405, 412, 416];

fn subjects(core: &mut Core) -> Vec<Subject> {
    let corpus = corpus::cases().iter().map(|case| (case.id.clone(), case.payload.clone()));
    let own = VALID.iter().enumerate().map(|(n, valid)| (format!("own {n}"), valid.as_bytes().to_vec()));
    let subjects: Vec<_> =
        corpus.chain(own).filter_map(|(id, payload)| Subject::new(id, &payload, core)).collect();
    let own = subjects.iter().filter(|subject| subject.id.starts_with("own ")).count();
    assert_eq!(own, VALID.len(), "all of our own are valid");
    subjects
}

impl Subject {
    /// Returns `None` if the payload has a request that is not valid.
    fn new(id: String, payload: &[u8], core: &mut Core) -> Option<Self> {
        let (mut rest, mut messages) = (payload, Vec::new());
        while !rest.is_empty() {
            messages.push(Message::take(&mut rest)?);
        }
        let mut this = Self { id, messages, outcome: Vec::new(), ended: false };
        // The server decides: a message whose framing was not understood gets an error.
        let whole = core.run([payload, CANARY.as_bytes()]);
        let answers = this.answers(&whole.sent);
        let understood = |method: &str, status: u16| {
            UNDERSTOOD.contains(&status) || status == 501 && !["GET", "HEAD", "POST"].contains(&method)
        };
        let methods = this.methods();
        let valid = answers.iter().zip(&methods).all(|((status, _), method)| understood(method, *status));
        (this.outcome, this.ended) = (answers, whole.ended);
        // If the connection stays open, the canary gets a response, too.
        (valid && (this.ended || this.outcome.len() == this.messages.len() + 1)).then_some(this)
    }

    fn methods(&self) -> Vec<&str> {
        self.messages.iter().map(|message| message.method.as_str()).chain(["GET"]).collect()
    }

    fn answers(&self, sent: &[u8]) -> Vec<(u16, Vec<u8>)> {
        statuses_and_bodies(parse_each(sent, &self.methods()))
    }
}

/// Without the bodies of multipart responses, whose boundary is random.
fn statuses_and_bodies(responses: Vec<Response>) -> Vec<(u16, Vec<u8>)> {
    let body = |response: Response| if response.status == 206 { Vec::new() } else { response.body };
    responses.into_iter().map(|response| (response.status, body(response))).collect()
}
