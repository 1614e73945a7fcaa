//! The reasons to refuse a request. Each closes the connection: the bytes after a request that was not understood may
//! be its body.

use std::fmt;

use super::status::Status;

/// A reason to refuse a request; [`Error::status`] is the status of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    // The client violates the grammar: 400.
    /// A line feed without its carriage return, or a carriage return without its line feed (RFC 9112 §2.2).
    BareLineEnd,
    /// More than ten empty lines before a request (RFC 9112 §2.2 asks for one).
    EmptyLines,
    /// The first byte cannot begin a method: TLS, or noise.
    NotHttp,
    /// Not `method SP request-target SP HTTP-version` (RFC 9112 §3).
    RequestLine,
    /// The target has none of the four forms, or one that the method does not allow (RFC 9112 §3.2).
    Target,
    /// A field line without name or colon, with white space before the colon, folded, or with control
    /// characters (RFC 9112 §5).
    Field,
    /// `Host` is missing, repeated or malformed (RFC 9112 §3.2).
    Host,
    /// A field that must be unique is repeated (RFC 9110 §5.3).
    Repeated,
    /// `Content-Length` is malformed, or a list (RFC 9112 §6.3).
    ContentLength,
    /// `Transfer-Encoding` does not end in one `chunked`, comes with `Content-Length`, or in HTTP/1.0
    /// (RFC 9112 §6.1, §6.3).
    TransferEncoding,
    /// The chunked body is malformed, or has more framing than content (RFC 9112 §7.1).
    Chunk,
    /// A trailer field is malformed, too long, or forbidden in a trailer (RFC 9110 §6.5.1).
    Trailer,

    // The request exceeds a limit of the server.
    /// The target is over its limit: 414.
    TargetTooLong,
    /// A field line, the number of fields or the whole head is over its limit: 431.
    FieldsTooLarge,
    /// The body is over its limit: 413.
    BodyTooLarge,
    /// The request did not come in time: 408.
    Timeout,

    // The request needs a feature that the server does not have.
    /// A transfer coding other than chunked: 501 (RFC 9112 §6.1).
    Coding,
    /// Another major version of HTTP: 505.
    Version,
    /// A method that is longer than every registered one: 501 (RFC 9112 §3).
    MethodTooLong,
    /// An expectation other than 100-continue: 417.
    Expectation,
}

impl Error {
    /// Returns the status of the response.
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
            Self::Repeated => "a field that must be unique is repeated",
            Self::ContentLength => "Content-Length is malformed",
            Self::TransferEncoding => "Transfer-Encoding is malformed or contradicts the rest",
            Self::Chunk => "the chunked body is malformed",
            Self::Trailer => "the trailer is malformed",
            Self::TargetTooLong => "the request target is too long",
            Self::FieldsTooLarge => "the header fields are too large",
            Self::BodyTooLarge => "the body is too large",
            Self::Timeout => "the request did not come in time",
            Self::MethodTooLong => "the method is too long",
            Self::Coding => "the transfer coding is unknown",
            Self::Version => "the HTTP version is not supported",
            Self::Expectation => "the expectation is unknown",
        })
    }
}

impl std::error::Error for Error {}
