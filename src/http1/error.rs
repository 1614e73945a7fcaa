//! Why a request is refused. After any of these the connection closes: what follows a request that was not
//! understood cannot be told from its body.

use std::fmt;

use super::status::Status;

/// A request that is not served, with the status that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    // The client does not speak the grammar: 400.
    /// A line feed without its carriage return, or the other way round (RFC 9112 §2.2).
    BareLineEnd,
    /// More than ten empty lines before a request (RFC 9112 §2.2 asks for one).
    EmptyLines,
    /// The first byte can begin no method: TLS, or noise.
    NotHttp,
    /// Not `method SP request-target SP HTTP-version` (RFC 9112 §3).
    RequestLine,
    /// The target is none of the four forms, or not for this method (RFC 9112 §3.2).
    Target,
    /// A field line without name or colon, with white space before the colon, folded, or with control
    /// characters (RFC 9112 §5).
    Field,
    /// `Host` is missing, repeated or no host (RFC 9112 §3.2).
    Host,
    /// A field that may stand once only stands twice (RFC 9110 §5.3).
    Repeated,
    /// `Content-Length` is no number, or a list (RFC 9112 §6.3).
    ContentLength,
    /// `Transfer-Encoding` does not end in one `chunked`, stands beside `Content-Length`, or in HTTP/1.0
    /// (RFC 9112 §6.1, §6.3).
    TransferEncoding,
    /// The chunked body is malformed, or more framing than content (RFC 9112 §7.1).
    Chunk,
    /// A trailer field that is malformed, too long, or must not stand in a trailer (RFC 9110 §6.5.1).
    Trailer,

    // The client asks for more than is taken here.
    /// The target is longer than the limit: 414.
    TargetTooLong,
    /// A field line, their number or the whole head is over its limit: 431.
    FieldsTooLarge,
    /// The body is over its limit: 413.
    BodyTooLarge,
    /// The request did not come in time: 408.
    Timeout,

    // The client asks for what is not here.
    /// A transfer coding other than chunked: 501 (RFC 9112 §6.1).
    Coding,
    /// Another major version of HTTP: 505.
    Version,
    /// A method that is longer than any there is: 501 (RFC 9112 §3).
    MethodTooLong,
    /// An expectation other than 100-continue: 417.
    Expectation,
}

impl Error {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::BareLineEnd
            | Self::EmptyLines
            | Self::NotHttp
            | Self::RequestLine
            | Self::Target
            | Self::Field
            | Self::Host
            | Self::Repeated
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Chunk
            | Self::Trailer => Status::BAD_REQUEST,
            Self::TargetTooLong => Status::URI_TOO_LONG,
            Self::FieldsTooLarge => Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge => Status::CONTENT_TOO_LARGE,
            Self::Timeout => Status::REQUEST_TIMEOUT,
            Self::Coding | Self::MethodTooLong => Status::NOT_IMPLEMENTED,
            Self::Version => Status::HTTP_VERSION_NOT_SUPPORTED,
            Self::Expectation => Status::EXPECTATION_FAILED,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareLineEnd => "a line does not end in CR LF",
            Self::EmptyLines => "too many empty lines before the request",
            Self::NotHttp => "this is not HTTP",
            Self::RequestLine => "the request line is malformed",
            Self::Target => "the request target is malformed or not for this method",
            Self::Field => "a header field is malformed",
            Self::Host => "Host is missing, repeated or malformed",
            Self::Repeated => "a field that may stand only once is repeated",
            Self::ContentLength => "Content-Length is malformed",
            Self::TransferEncoding => "Transfer-Encoding is malformed or contradicts the rest",
            Self::Chunk => "the chunked body is malformed",
            Self::Trailer => "the trailer is malformed",
            Self::TargetTooLong => "the request target is too long",
            Self::FieldsTooLarge => "the header fields are too large",
            Self::BodyTooLarge => "the body is too large",
            Self::Timeout => "the request did not come in time",
            Self::MethodTooLong => "the method is too long to be one",
            Self::Coding => "the transfer coding is not known here",
            Self::Version => "the HTTP version is not spoken here",
            Self::Expectation => "the expectation is not known here",
        })
    }
}

impl std::error::Error for Error {}
