//! What makes responses: at once, or later and piece by piece.
//!
//! ```text
//! head ──► Service::handle ──► Reply::Ready(Response)
//!                         └──► Reply::Pending ──body()*──► begin() ──► poll()* ──► Progress::End
//!                                               └── dropped at any moment: the client is gone
//! ```

use std::fmt;

use super::request::Request;
use super::response::Response;
use super::status::Status;
use crate::chat::OutQueue;
use crate::clock::Now;

/// Makes the responses of a server. Each worker has one, which all its connections share; what it changes (a cache) it
/// keeps in cells of its own.
pub trait Service {
    /// Handles one request, whose head is whole. The response leaves once the body, if there is one, has been read.
    ///
    /// The call runs on the loop: it must not wait for anything but the file system.
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply;
}

impl<F: Fn(&Request<'_>, Now) -> Response> Service for F {
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply {
        Reply::Ready(self(request, now))
    }
}

/// What a service makes of a request.
#[derive(Debug)]
pub enum Reply {
    /// The response.
    Ready(Response),
    /// What makes the response when the body of the request is there.
    Pending(Box<dyn PendingResponse>),
}

/// Makes the response to one request. It is dropped when the response is complete, or when the client is gone.
/// A driver may move connections between threads.
pub trait PendingResponse: fmt::Debug + Send {
    /// Takes the next bytes of the request's body, without its framing.
    ///
    /// # Errors
    /// The status to refuse the request with, when there is no place for them.
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status>;

    /// Starts: the request is whole.
    fn begin(&mut self);

    /// Appends what there is of the response, head and framing included, to `out`. The driver calls it when the
    /// connection was woken, and whenever everything has left.
    fn poll(&mut self, out: &mut OutQueue) -> Progress;

    /// Returns the status of the response and the bytes of its head, once that is in the output: for the log.
    fn status(&self) -> Option<(Status, u64)>;
}

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is no more now; the connection is woken when there is.
    Pending,
    /// There may be more at once, when this has left.
    More,
    /// There will be more, or the end of the connection, most likely at once: the kernel may wait for it to fill a
    /// segment, for 200 ms at the most, while it is made.
    Soon,
    /// The response is over.
    End(Completion),
}

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Whole, and its head has promised that the connection persists.
    KeepAlive,
    /// Whole, and its head has announced the end of the connection, or that end is what frames it.
    Close,
    /// Cut short: the connection ends, so that the client can tell.
    Cut {
        /// Whether a close would look like the end of a whole response: then the connection is reset.
        reset: bool,
    },
}
