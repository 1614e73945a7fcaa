//! A request on its way to the application: its head and its body, in memory of its own.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::spool::Spool;
use crate::http1::{BodyFraming, Method, Request, Status, Target, Version};
use crate::server::{PeerInfo, given_id, push_made_id};

/// Requests whose memory is kept for the next ones.
const MAX_SPARE: usize = 64;

/// A range of [`OwnedRequest::text`].
type Span = Range<u32>;

/// The most characters of a method and of a path in a line of the log.
const MAX_LABEL: usize = 200;

/// A request that owns its text. Its memory is used again for other requests.
#[derive(Default)]
pub(super) struct OwnedRequest {
    head: Arc<RequestHead>,
    pub(super) body: Spool,
}

/// The head of a request. The log refers to it while the response is made.
#[derive(Default)]
pub(super) struct RequestHead {
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
    /// The number of the request in this worker.
    number: u64,
}

/// What names a request in a line of the log. All of it is printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestLabel {
    pub(super) method: String,
    /// The path as it was sent, without the query, which may have secrets.
    pub(super) path: String,
    pub(super) id: String,
    pub(super) client: Option<String>,
}

impl RequestLabel {
    /// Method, path, id and client, for Python.
    pub(super) fn into_tuple(self) -> (String, String, String, Option<String>) {
        (self.method, self.path, self.id, self.client)
    }
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
        self.head.fmt(f)
    }
}

impl Deref for OwnedRequest {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method().escape_ascii(), self.target().escape_ascii())
    }
}

impl OwnedRequest {
    /// Copies the head of the request with this number in the worker. Path and query are those of `head.target`, which
    /// the server may have shortened by a prefix.
    pub(super) fn set_head(&mut self, head: &Request<'_>, peer: PeerInfo, number: u64) {
        self.body.clear();
        if Arc::get_mut(&mut self.head).is_none() {
            // The response to the last request is not over.
            self.head = Arc::default();
        }
        if let Some(own) = Arc::get_mut(&mut self.head) {
            own.number = number;
            own.set(head, peer);
        }
    }

    /// The head, for the log.
    pub(super) fn share_head(&self) -> Arc<RequestHead> {
        Arc::clone(&self.head)
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
}

impl RequestHead {
    fn set(&mut self, head: &Request<'_>, peer: PeerInfo) {
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
    }

    /// What names this request in the log.
    pub(super) fn label(&self) -> RequestLabel {
        let text = |bytes: &[u8]| {
            let mut text = bytes.escape_ascii().to_string();
            if text.len() > MAX_LABEL {
                text.truncate(MAX_LABEL);
                text += "...";
            }
            text
        };
        let path = self.target().split(|byte| *byte == b'?').next().unwrap_or_default();
        let made = || {
            let mut id = Vec::new();
            push_made_id(&mut id, self.number);
            id
        };
        let id = given_id(self.fields()).map_or_else(made, <[u8]>::to_vec);
        RequestLabel {
            method: text(self.method()),
            path: text(path),
            id: text(&id),
            client: self.peer.map(|info| match info.peer.ip() {
                Some(ip) => ip.to_string(),
                None => info.peer.to_string(),
            }),
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

    /// The host and port of a target in absolute form. It replaces the `Host` field (RFC 9112 §3.2.2).
    pub(super) fn authority(&self) -> Option<&[u8]> {
        let target = self.target();
        if matches!(target, [b'/' | b'*', ..]) {
            return None;
        }
        let begin = target.windows(3).position(|three| three == b"://")? + 3;
        target[begin..].split(|byte| matches!(byte, b'/' | b'?')).next()
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
