//! Status codes, their reason phrases, and the sentences in the bodies of error responses.

use std::fmt;

/// A status code that this server sends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u16);

/// Code, name, reason phrase (RFC 9110 §15), sentence. The sentences of 200, 400, 403, 404 and 405 are those of the
/// seed's `responses`.
macro_rules! statuses {
    ($($code:literal $name:ident $reason:literal $text:literal)*) => {
        impl Status {
            $(#[doc = concat!("`", $code, " ", $reason, "`: ", $text)] pub const $name: Self = Self($code);)*

            /// All statuses that this server sends.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the reason phrase (RFC 9110 §15).
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self.0 { $($code => $reason,)* _ => "Unknown" }
            }

            /// Returns code and reason phrase, as in a status line (RFC 9112 §4).
            #[must_use]
            #[inline]
            pub fn code_and_reason(self) -> &'static str {
                match self.0 {
                    $($code => concat!($code, " ", $reason),)*
                    _ => "500 Unknown",
                }
            }

            /// Returns the sentence for the body of an error response.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self.0 { $($code => $text,)* _ => "" }
            }
        }
    };
}

statuses! {
    200 OK "OK" "Request fulfilled, document follows"
    204 NO_CONTENT "No Content" "Request fulfilled, nothing follows"
    206 PARTIAL_CONTENT "Partial Content" "Partial content follows"
    301 MOVED_PERMANENTLY "Moved Permanently" "The document is at another address, see Location"
    304 NOT_MODIFIED "Not Modified" "The document has not changed since the given time"
    308 PERMANENT_REDIRECT "Permanent Redirect" "The document is at another address, see Location"
    400 BAD_REQUEST "Bad Request" "Bad request syntax or unsupported method"
    401 UNAUTHORIZED "Unauthorized" "A user name and a password are needed to read this"
    403 FORBIDDEN "Forbidden" "Request forbidden -- authorization will not help"
    404 NOT_FOUND "Not Found" "Nothing matches the given URI"
    405 METHOD_NOT_ALLOWED "Method Not Allowed" "Specified method is invalid for this resource."
    408 REQUEST_TIMEOUT "Request Timeout" "The request did not come in time"
    412 PRECONDITION_FAILED "Precondition Failed" "A condition in the request does not hold"
    413 CONTENT_TOO_LARGE "Content Too Large" "The body of the request is too large for this server"
    414 URI_TOO_LONG "URI Too Long" "The request target is too long for this server"
    416 RANGE_NOT_SATISFIABLE "Range Not Satisfiable" "No part of the document lies in the given range"
    417 EXPECTATION_FAILED "Expectation Failed" "The expectation in the Expect field is unknown"
    429 TOO_MANY_REQUESTS "Too Many Requests" "Too many requests came in a short time; try again later"
    431 REQUEST_HEADER_FIELDS_TOO_LARGE "Request Header Fields Too Large"
        "The header fields are too long or too many for this server"
    500 INTERNAL_SERVER_ERROR "Internal Server Error" "The server failed to handle the request"
    501 NOT_IMPLEMENTED "Not Implemented" "The server does not support this method or transfer coding"
    503 SERVICE_UNAVAILABLE "Service Unavailable" "The server is overloaded for the moment; try again"
    505 HTTP_VERSION_NOT_SUPPORTED "HTTP Version Not Supported" "This server supports HTTP/1.1 and HTTP/1.0"
}

impl Status {
    /// The status with this code, from an application's response, for the log.
    #[must_use]
    pub const fn of_application(code: u16) -> Self {
        Self(code)
    }

    /// Returns the code, 100 to 999.
    #[must_use]
    pub fn code(self) -> u16 {
        self.0
    }

    /// Whether the code is 4xx or 5xx.
    #[must_use]
    pub fn is_error(self) -> bool {
        self.0 >= 400
    }

    /// Whether a response with this status has no content, and therefore no Content-Length (RFC 9110 §8.6).
    #[must_use]
    pub fn is_bodiless(self) -> bool {
        matches!(self, Self::NO_CONTENT | Self::NOT_MODIFIED)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEED §3: the five codes of the lab.
    #[test]
    fn codes_of_the_seed() {
        for (code, reason, text) in [
            (200, "OK", "Request fulfilled, document follows"),
            (400, "Bad Request", "Bad request syntax or unsupported method"),
            (403, "Forbidden", "Request forbidden -- authorization will not help"),
            (404, "Not Found", "Nothing matches the given URI"),
            (405, "Method Not Allowed", "Specified method is invalid for this resource."),
        ] {
            let status = Status::ALL.iter().find(|status| status.code() == code).expect("in the table");
            assert_eq!((status.reason(), status.text()), (reason, text));
        }
    }
}
