//! HTTP/1.1 without a socket and without a clock: bytes in, segments out, `now` handed in.
//!
//! ```text
//! Reading ──► Headers ──► Body ──► Writing ──► (keep-alive) Reading
//!    └────────── any doubt ──────► Writing(error) ──► Lingering ──► Closed
//! ```
//!
//! A driver (the server's channel on the reactor, or any other) feeds [`Connection::receive`], sends what
//! [`Connection::output`] holds, and asks the [`Service`] nothing: the connection does, when the head of a
//! request is whole, and sends the answer when its body is over. Framing doubts are refused, never repaired: 400, `Connection: close`, and nothing that comes
//! later on that connection is parsed (RFC 9112 §11.2).
//!
//! | file | what stands there |
//! |---|---|
//! | `grammar` | the RFCs' small rules under their own names: `tchar`, `token`, `OWS`, `uri-host` |
//! | `scan` | a head that is still coming: limits and line ends, line by line |
//! | `head`, `target`, `fields` | a whole head: httparse behind our own checks |
//! | `body` | Content-Length and chunked framing |
//! | `connection` | the state machine drawn above |
//! | `response`, `status` | what is sent back |
//! | `error` | why a request is refused, sorted by who is to blame |
//! | `service` | who answers |
//! | `later` | answers that an application makes |

mod body;
mod connection;
mod error;
mod exchange;
mod fields;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod grammar;
mod head;
mod later;
mod response;
mod scan;
mod service;
mod settings;
mod status;
mod target;

pub use body::{BodyReader, Framing, Step};
pub use connection::{Connection, Flushed, Turn};
pub use error::Error;
pub use exchange::Exchange;
pub use fields::Fields;
pub use grammar::{is_tchar, list, trim_ows};
pub use head::{MAX_FIELDS, Method, Request, Version};
pub use later::{AnswerHead, Ending, Extent, LAST_CHUNK, Later, Progress, Reply, Visitor, push_chunk_size};
#[cfg(feature = "wsgi")]
pub(crate) use response::decimal;
pub use response::{Body, Part, Response};
pub use service::Service;
pub use settings::{Limits, Settings, Timeouts};
pub use status::Status;
pub use target::Target;
