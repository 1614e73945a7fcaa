//! One request as it is handed to the application: everything of its head, in memory of its own.

use std::fmt;
use std::ops::Range;

use super::spool::Spool;
use crate::http1::{BodyFraming, Method, Target, Version};
use crate::server::PeerInfo;

/// A stretch of [`Request::text`].
type Span = Range<u32>;

/// A request. Its memory is used again for the next one.
#[derive(Default)]
pub(super) struct Request {
    text: Vec<u8>,
    fields: Vec<(Span, Span)>,
    method: Span,
    target: Span,
    path: Span,
    query: Span,
    protocol: Span,
    /// How the answer has to be framed.
    pub(super) facts: RequestFacts,
    /// Whether it said that it has a body, or how long that is.
    pub(super) has_length: bool,
    pub(super) peer: Option<PeerInfo>,
    pub(super) body: Spool,
}

/// What has to be known of a request to frame its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestFacts {
    pub(super) is_head: bool,
    pub(super) is_http11: bool,
    pub(super) keep_alive: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method().escape_ascii(), self.target().escape_ascii())
    }
}

impl Request {
    /// Takes what the head says. `path` and query are what the server has made of its target.
    pub(super) fn take(&mut self, head: &crate::http1::Request<'_>, peer: PeerInfo) {
        let mut words = head.line.splitn(3, |byte| *byte == b' ');
        let mut word = || words.next().unwrap_or_default();
        let (path, query) = match head.target {
            Target::Path { path, query } => (path, query.unwrap_or_default()),
            Target::Asterisk | Target::Authority => (&b"*"[..], &b""[..]),
        };
        self.text.clear();
        self.fields.clear();
        self.method = self.add(word());
        self.target = self.add(word());
        self.protocol = self.add(word());
        self.path = self.add(path);
        self.query = self.add(query);
        for (name, value) in head.fields.iter() {
            let field = (self.add(name.as_bytes()), self.add(value));
            self.fields.push(field);
        }
        self.facts = RequestFacts {
            is_head: head.method == Method::Head,
            is_http11: head.version >= Version::Http11,
            keep_alive: head.keep_alive,
        };
        self.has_length = head.framing != BodyFraming::None || head.fields.get("content-length").is_some();
        self.peer = Some(peer);
        self.body.clear();
    }

    fn add(&mut self, bytes: &[u8]) -> Span {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        place(start)..place(self.text.len())
    }

    fn get(&self, span: &Span) -> &[u8] {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    pub(super) fn method(&self) -> &[u8] {
        self.get(&self.method)
    }

    /// As it was sent.
    pub(super) fn target(&self) -> &[u8] {
        self.get(&self.target)
    }

    /// Still percent-encoded.
    pub(super) fn path(&self) -> &[u8] {
        self.get(&self.path)
    }

    pub(super) fn query(&self) -> &[u8] {
        self.get(&self.query)
    }

    pub(super) fn protocol(&self) -> &[u8] {
        self.get(&self.protocol)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (self.get(name), self.get(value)))
    }
}
