//! A request on its way to the application: its head and its body, in memory of its own.

use std::fmt;
use std::ops::Range;

use super::proxies::ForwardedRequest;
use super::spool::Spool;
use crate::http1::{BodyFraming, Method, Request, Status, Target, Version};
use crate::server::PeerInfo;

/// Requests whose memory is kept for the next ones.
const MAX_SPARE: usize = 64;

/// A range of [`OwnedRequest::text`].
type Span = Range<u32>;

/// A request that owns its text. Its memory is used again for other requests.
#[derive(Default)]
pub(super) struct OwnedRequest {
    text: Vec<u8>,
    fields: Vec<(Span, Span)>,
    method: Span,
    target: Span,
    path: Span,
    query: Span,
    protocol: Span,
    pub(super) facts: RequestFacts,
    /// Whether the head announces a body, or the length of one.
    pub(super) has_length: bool,
    pub(super) peer: Option<PeerInfo>,
    /// What a trusted proxy says of the request.
    pub(super) forwarded: Option<ForwardedRequest>,
    /// The user whose password the server has verified.
    pub(super) user: Option<Box<[u8]>>,
    pub(super) body: Spool,
}

/// The facts of a request that decide how its response is framed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestFacts {
    pub(super) is_head: bool,
    pub(super) is_http11: bool,
    pub(super) keep_alive: bool,
}

impl fmt::Debug for OwnedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method().escape_ascii(), self.target().escape_ascii())
    }
}

impl OwnedRequest {
    /// Copies the head. Path and query are those of `head.target`, which the server may have shortened by a prefix.
    pub(super) fn set_head(&mut self, head: &Request<'_>, peer: PeerInfo) {
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
        (self.forwarded, self.user) = (None, None);
        self.body.clear();
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// 503: the temporary folder has no room for them.
    pub(super) fn push_body(&mut self, bytes: &[u8]) -> Result<(), Status> {
        self.body.push(bytes).map_err(|error| {
            log::error!("cannot keep a request body in the temporary folder: {error}");
            Status::SERVICE_UNAVAILABLE
        })
    }

    /// Keeps the memory of a finished request in `spare`, unless that holds enough.
    pub(super) fn keep_in(self, spare: &mut Vec<Self>) {
        if spare.len() < MAX_SPARE {
            spare.push(self);
        }
    }

    fn add(&mut self, bytes: &[u8]) -> Span {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        offset(start)..offset(self.text.len())
    }

    fn get(&self, span: &Span) -> &[u8] {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    pub(super) fn method(&self) -> &[u8] {
        self.get(&self.method)
    }

    /// The request target as it was sent.
    pub(super) fn target(&self) -> &[u8] {
        self.get(&self.target)
    }

    /// The path as it was sent: valid percent-encoding, and perhaps bytes above 7F.
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
