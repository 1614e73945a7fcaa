//! HTTP/1.1 without a socket and without a clock: bytes and the time in, events and segments out.
//!
//! A driver hands the received bytes to [`Connection::next_event`], which returns what they are: the head of a request,
//! content of its body, its end, or a reason to refuse it. The driver responds, and sends what [`Connection::output`]
//! holds. The connection calls nothing. Malformed framing is refused, never repaired: 400, `Connection: close`, and the
//! rest of the input on that connection is discarded (RFC 9112 §11.2).
//!
//! | file | contents |
//! |---|---|
//! | `grammar` | the small rules of the RFCs under their own names: `tchar`, `token`, `OWS`, `uri-host` |
//! | `scan` | the terminator of a head: limits and line ends, checked as the lines come |
//! | `head` | the parser of a whole head: httparse, and further checks |
//! | `request` | a parsed head |
//! | `body` | the reader of bodies: Content-Length and chunks |
//! | `connection` | the state machine: `reading` is its input side, `writing` its output side |
//! | `framing` | the framing of bodies, and the writer of framed bodies |
//! | `response`, `status` | responses, and the writer of their heads |
//! | `error` | the reasons to refuse a request |
//! | `service` | the trait that makes responses, at once or piece by piece |

mod body;
mod connection;
mod error;
mod framing;
mod grammar;
mod head;
mod request;
mod response;
mod scan;
mod service;
mod settings;
mod status;

pub use body::{BodyEvent, BodyReader};
pub use connection::{BodySink, Connection, Event, Next, Turn};
pub use error::Error;
pub use framing::{BodyFraming, BodyWriter, ResponseFacts, ResponseFraming};
pub use grammar::{is_host_and_port, is_tchar, list, trim_ows};
pub use head::{FEW_FIELDS, FieldSpace, Head, MAX_FIELDS, field_space};
pub use request::{Arrival, Fields, KeptRequest, Method, Request, RequestNeeds, Target, Version};
pub(crate) use response::decimal;
pub use response::{Body, Response, ResponseHead};
pub use service::{Completion, PendingResponse, Progress, Reply, STEP, Service, StepwiseResponse};
pub use settings::{Limits, Settings, Timeouts};
pub use status::Status;
