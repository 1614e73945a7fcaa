//! The responses for what cannot be opened or read.

use std::io;

use log::warn;
use rustix::io::Errno;

use super::listing::{ListingOverflow, MAX_NAMES};
use super::path::ResolvedPath;
use crate::http1::{Body, Response, Status};

/// The status for a failed open: whether the client or the server is to blame (RULES B12).
fn status_of(error: &io::Error) -> Status {
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
        ) => Status::NOT_FOUND,
        Some(Errno::ACCESS | Errno::PERM) => Status::FORBIDDEN,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::STALE) => {
            Status::SERVICE_UNAVAILABLE
        }
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

/// The response for a path that cannot be opened or read.
pub(super) fn refuse(path: &ResolvedPath, error: &io::Error) -> Response {
    let status = status_of(error);
    // Also while the root is replaced, which has a line of its own and soon a worker that can open it.
    let is_replaced = Errno::from_io_error(error) == Some(Errno::STALE);
    if status.code() >= 500 && !is_replaced {
        warn!("cannot serve {}: {error}", path.shown());
    }
    let mut response = Response::error(status);
    if status == Status::SERVICE_UNAVAILABLE {
        response.field("Retry-After", 1);
    }
    if is_replaced {
        response.body =
            Body::Bytes(format!("{status}\nThe directory has just been replaced; try again\n").into_bytes());
    }
    response
}

/// Refuses a listing with the reason, because no other request would tell.
pub(super) fn refuse_listing(overflow: ListingOverflow) -> Response {
    let (status, reason) = match overflow {
        ListingOverflow::TooLong => {
            (Status::FORBIDDEN, format!("This directory has more names than can be listed, {MAX_NAMES}"))
        }
        ListingOverflow::TooManyListings => {
            (Status::SERVICE_UNAVAILABLE, "Too many long listings are being sent; try again".to_owned())
        }
    };
    let mut response = Response::error(status);
    if status == Status::SERVICE_UNAVAILABLE {
        response.field("Retry-After", 1);
    }
    response.body = Body::Bytes(format!("{status}\n{reason}\n").into_bytes());
    response
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
                assert_eq!(status_of(&(*errno).into()).code(), want, "{errno}");
            }
        }
    }
}
