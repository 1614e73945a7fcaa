//! A parsed request: method, target, version and fields, borrowed from the head.

use super::framing::BodyFraming;

/// A request method (RFC 9110 §9). Methods are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants have the names of the methods")]
pub enum Method<'a> {
    Get,
    Head,
    Options,
    Post,
    Put,
    Delete,
    Patch,
    Trace,
    Connect,
    /// Another well-formed token.
    Other(&'a [u8]),
}

impl<'a> Method<'a> {
    pub(super) fn from_token(token: &'a [u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            other => Self::Other(other),
        }
    }
}

/// The version of a request. A later minor version counts as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// The request target (RFC 9112 §3.2). An absolute target becomes its path: every host is the same server here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Origin-form or absolute-form.
    Path {
        /// Begins with `/`; percent-encoded as far as the client has done so: it may have any byte above 7F.
        path: &'a [u8],
        /// The part after the first `?`, as it was sent; a percent sign in it may mean nothing.
        query: Option<&'a [u8]>,
    },
    /// `host:port`; only with CONNECT.
    Authority,
    /// `*`; only with OPTIONS.
    Asterisk,
}

/// The header fields of a request, in the order of the head.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub(super) &'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// Iterates over names and values; values are trimmed.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.0.iter().map(|field| (field.name, field.value))
    }

    /// Iterates over the values of all fields with this name, in any case.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter().filter(move |(this, _)| this.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the value of the first field with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Returns the value of the field with this name if there is exactly one.
    #[must_use]
    pub fn single(&self, name: &str) -> Option<&'a [u8]> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }
}

/// When a request arrived: a service that looks at something for one request need not look again for others that were
/// here at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Perhaps just now.
    Unknown,
    /// Its first byte was here before the present turn of the loop began.
    BeforeTurn,
    /// It was received together with the request before it, which the service has been asked for since.
    WithPrevious,
}

/// The parsed head of a valid request; it borrows from the input.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The request line, without CR LF.
    pub line: &'a [u8],
    /// The method (RFC 9112 §3.1).
    pub method: Method<'a>,
    /// The target, of a form that the method allows (RFC 9112 §3.2).
    pub target: Target<'a>,
    /// The version (RFC 9112 §2.3).
    pub version: Version,
    /// The header fields, at most [`super::MAX_FIELDS`].
    pub fields: Fields<'a>,
    /// The framing of the body; never [`BodyFraming::UntilClose`].
    pub framing: BodyFraming,
    /// Whether the client wants the connection to persist (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client may wait for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// When it arrived, as far as the driver knows.
    pub arrival: Arrival,
}

impl Request<'_> {
    /// Returns the path of the target, if it has one.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        match self.target {
            Target::Path { path, .. } => Some(path),
            Target::Authority | Target::Asterisk => None,
        }
    }

    /// Returns the properties that the connection needs after the head has been consumed.
    #[must_use]
    pub fn needs(&self) -> RequestNeeds {
        RequestNeeds {
            is_head: self.method == Method::Head,
            keep_alive: self.keep_alive,
            expects_continue: self.expects_continue,
            framing: self.framing,
        }
    }
}

impl Request<'_> {
    /// Returns a copy that does not borrow from the input.
    #[must_use]
    pub fn keep(&self) -> KeptRequest {
        let target = match self.target {
            Target::Path { path, query } => {
                KeptTarget::Path { path: path.into(), query: query.map(Into::into) }
            }
            Target::Authority => KeptTarget::Authority,
            Target::Asterisk => KeptTarget::Asterisk,
        };
        KeptRequest {
            line: self.line.into(),
            target,
            fields: self.fields.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            version: self.version,
            framing: self.framing,
            keep_alive: self.keep_alive,
            expects_continue: self.expects_continue,
        }
    }
}

/// A copy of a request, for a service whose response takes several turns. It is as long as the head.
#[derive(Debug)]
pub struct KeptRequest {
    line: Box<[u8]>,
    target: KeptTarget,
    fields: Vec<(Box<str>, Box<[u8]>)>,
    version: Version,
    framing: BodyFraming,
    keep_alive: bool,
    expects_continue: bool,
}

/// As [`Target`].
#[derive(Debug)]
enum KeptTarget {
    Path { path: Box<[u8]>, query: Option<Box<[u8]>> },
    Authority,
    Asterisk,
}

impl KeptRequest {
    /// Calls `read` with the request, whose time of arrival is unknown.
    pub fn with<T>(&self, read: impl FnOnce(&Request<'_>) -> T) -> T {
        let fields: Vec<_> =
            self.fields.iter().map(|(name, value)| httparse::Header { name, value }).collect();
        let end = self.line.iter().position(|byte| *byte == b' ').unwrap_or(self.line.len());
        let target = match &self.target {
            KeptTarget::Path { path, query } => Target::Path { path, query: query.as_deref() },
            KeptTarget::Authority => Target::Authority,
            KeptTarget::Asterisk => Target::Asterisk,
        };
        read(&Request {
            line: &self.line,
            method: Method::from_token(&self.line[..end]),
            target,
            version: self.version,
            fields: Fields(&fields),
            framing: self.framing,
            keep_alive: self.keep_alive,
            expects_continue: self.expects_continue,
            arrival: Arrival::Unknown,
        })
    }
}

/// The properties of a request that the connection needs after its head has been consumed.
#[derive(Clone, Copy, Debug)]
pub struct RequestNeeds {
    pub(super) is_head: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) framing: BodyFraming,
}
