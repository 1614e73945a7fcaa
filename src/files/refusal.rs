//! Why there is no document for a request.

use std::io;

use log::warn;
use rustix::io::Errno;

use super::listing::ListingOverflow;
use super::path::ResolvedPath;
use crate::http1::Status;

/// The methods of a resource (`Allow`, RFC 9110 §10.2.1).
pub(super) const ALLOW: &str = "GET, HEAD, OPTIONS";

/// Why there is no document for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path has no meaning.
    Malformed,
    /// Nothing is at the path, or nothing that is shown.
    Missing,
    /// A directory without an index, while directories are not listed.
    NoIndex,
    /// The file may not be read.
    Forbidden,
    /// A directory with more names than can be listed.
    TooManyNames,
    /// Other long listings hold too much memory at the moment.
    TooManyListings,
    /// A method that changes something.
    Method,
    /// A method that is unknown here.
    UnknownMethod,
    /// The file cannot be read.
    Failed,
    /// Something that is needed is missing for the moment.
    Busy,
    /// The directory that has the path of the root is not open yet.
    Replaced,
}

impl Refusal {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 11] = [
        Self::Malformed,
        Self::Missing,
        Self::NoIndex,
        Self::Forbidden,
        Self::TooManyNames,
        Self::TooManyListings,
        Self::Method,
        Self::UnknownMethod,
        Self::Failed,
        Self::Busy,
        Self::Replaced,
    ];

    pub(super) fn status(self) -> Status {
        match self {
            Self::Malformed => Status::BAD_REQUEST,
            Self::Missing | Self::NoIndex => Status::NOT_FOUND,
            Self::Forbidden | Self::TooManyNames => Status::FORBIDDEN,
            Self::Method => Status::METHOD_NOT_ALLOWED,
            Self::UnknownMethod => Status::NOT_IMPLEMENTED,
            Self::Failed => Status::INTERNAL_SERVER_ERROR,
            Self::TooManyListings | Self::Busy | Self::Replaced => Status::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why a path is refused that cannot be opened or read. A fault of the server is logged.
pub(super) fn refuse(path: &ResolvedPath, error: &io::Error) -> Refusal {
    let refusal = refusal_of(error);
    // Not while the root is replaced, which has a line of its own and soon a worker that can open it.
    if matches!(refusal, Refusal::Failed | Refusal::Busy) {
        warn!("cannot serve {}: {error}", path.shown());
    }
    refusal
}

/// A listing is refused with a reason of its own, because no other request would tell.
impl From<ListingOverflow> for Refusal {
    fn from(overflow: ListingOverflow) -> Self {
        match overflow {
            ListingOverflow::TooLong => Self::TooManyNames,
            ListingOverflow::TooManyListings => Self::TooManyListings,
        }
    }
}

/// The reason of a failed open: whether the client or the server is to blame (RULES B12).
fn refusal_of(error: &io::Error) -> Refusal {
    match Errno::from_io_error(error) {
        // The last two: the file system cannot have the name.
        Some(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::NAMETOOLONG
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NXIO
            | Errno::ILSEQ
            | Errno::INVAL,
        ) => Refusal::Missing,
        Some(Errno::ACCESS | Errno::PERM) => Refusal::Forbidden,
        Some(Errno::STALE) => Refusal::Replaced,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => Refusal::Busy,
        _ => Refusal::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULES B12, also for errors that no request can cause.
    #[test]
    fn failures_and_their_statuses() {
        for (want, errnos) in [
            (
                404,
                &[
                    Errno::NOENT,
                    Errno::NOTDIR,
                    Errno::NAMETOOLONG,
                    Errno::LOOP,
                    Errno::XDEV,
                    Errno::NXIO,
                    Errno::ILSEQ,
                    Errno::INVAL,
                ][..],
            ),
            (403, &[Errno::ACCESS, Errno::PERM]),
            (503, &[Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::STALE]),
            (500, &[Errno::IO]),
        ] {
            for errno in errnos {
                assert_eq!(refusal_of(&(*errno).into()).status().code(), want, "{errno}");
            }
        }
    }
}
