//! The trait that makes responses: at once, or later and piece by piece.
//!
//! ```text
//! head ──► Service::handle ──► Reply::Ready(Response)
//!                         ├──► Reply::Stepwise ──► step()*, one in each turn ──► Response
//!                         └──► Reply::Pending ──body()*──► begin() ──► poll()* ──► Progress::End
//!                                               └── dropped at any moment if the client is gone
//! ```

use std::fmt;
use std::time::Duration;

use super::request::Request;
use super::response::Response;
use super::status::Status;
use crate::chat::OutQueue;
use crate::clock::Now;

/// Makes the responses of a server. All connections of a worker share one service, which keeps mutable state (a cache)
/// in cells.
pub trait Service {
    /// Handles one request, whose head is whole. The response leaves after the body has been read.
    ///
    /// The call runs on the loop: it may wait for the file system only.
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply;
}

impl<F: Fn(&Request<'_>, Now) -> Response> Service for F {
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply {
        Reply::Ready(self(request, now))
    }
}

/// The result of [`Service::handle`].
#[derive(Debug)]
pub enum Reply {
    /// The response is complete.
    Ready(Response),
    /// The response is made on the loop, in several turns.
    Stepwise(Box<dyn StepwiseResponse>),
    /// The response is made after the body of the request has come.
    Pending(Box<dyn PendingResponse>),
}

/// The time after which a step of a [`StepwiseResponse`] ends, because the other connections wait for it.
pub const STEP: Duration = Duration::from_millis(1);

/// Makes a response by work that is too long for one turn of the loop, such as reading a large directory. It is dropped
/// when the client is gone, and is [`Send`] because a driver may move connections between threads.
pub trait StepwiseResponse: fmt::Debug + Send {
    /// Does the next step, of about [`STEP`]; all steps of one turn get the same time. Returns the response after the
    /// last one.
    fn step(&mut self, now: Now) -> Option<Response>;
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Ready(response)
    }
}

/// Makes the response to one request. It is dropped when the response is complete, or when the client is gone. It is
/// [`Send`] because a driver may move connections between threads.
pub trait PendingResponse: fmt::Debug + Send {
    /// Takes the next bytes of the request's body, without its framing.
    ///
    /// # Errors
    /// The status to refuse the request with, if there is no space for them.
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status>;

    /// Starts to make the response: the request is whole.
    fn begin(&mut self);

    /// Takes note that the client has closed its half of the connection. Returns whether the response is given up: nothing
    /// has been made of it, and it would still have to wait.
    fn end_input(&mut self) -> bool {
        false
    }

    /// Appends the next piece of the response, with head and framing, to `out`. The driver calls it when the connection
    /// was woken, and whenever the output is empty.
    fn poll(&mut self, out: &mut OutQueue) -> Progress;

    /// Returns the status of the response and the length of its head, after that has been appended: for the log.
    fn status(&self) -> Option<(Status, u64)>;

    /// Returns the field lines of the head that the application has made, after that has been appended: for a log with
    /// fields of the response.
    fn fields(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// The state of a response after [`PendingResponse::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The next piece is not ready; the connection will be woken.
    Pending,
    /// The next piece may be ready when this one has left.
    More,
    /// The next piece, or the end of the connection, will come soon. The kernel may wait up to 200 ms for it to fill a
    /// segment (tcp(7), `MSG_MORE`).
    Soon,
    /// All of the response has been appended.
    End(Completion),
}

/// The way in which a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The response is whole, and its head has promised that the connection persists.
    KeepAlive,
    /// The response is whole, and its head has announced the end of the connection, or that end frames the body.
    Close,
    /// The response is cut short: the connection ends, so that the client notices.
    Cut {
        /// Whether the connection is reset, because a close would look like the end of a whole response.
        reset: bool,
    },
}
