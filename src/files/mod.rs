//! The service that answers with files of one directory.
//!
//! ```text
//! target ──► path ──► open ──► encoding ──► conditional ──► range ──► Response
//!          (decode,  (jail,   (which      (304, 412)     (206, 416)      ▲
//!           normalise) fstat)  sibling?)                                 │
//!                      └────► listing ──► page ──────────────────────────┘
//! ```
//!
//! The path is decoded once, then normalised, then opened beneath the root by the kernel; what it is and
//! when it changed is asked of the opened descriptor, never of the name again.

mod conditional;
mod encoding;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod listing;
mod mime;
mod open;
mod page;
mod path;
mod range;
mod send;

use std::io;
use std::path::Path;

use log::{debug, warn};
use percent_encoding::percent_encode;

use crate::clock::Now;
use crate::http1::{Method, Request, Response, Service, Status, Target};
use crate::sys::beneath::Symlinks;

use encoding::{Coding, Order};
use open::{Found, Root};
use path::{Dotfiles, Refused, Wanted};
use send::Representation;

/// The methods of a resource (`Allow`, RFC 9110 §10.2.1).
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// What a directory's own document is called.
const INDEX: &str = "index.html";

/// What of a directory is served, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether a directory without an index is answered with a list of what is in it.
    pub listing: bool,
    /// Whether names that begin with a dot are served. They are often not meant to be: `.git`, `.env`.
    pub dotfiles: bool,
    /// Whether symbolic links are followed, inside the root.
    pub symlinks: bool,
    /// Whether a sibling with `.br`, `.zst` or `.gz` behind its name may be sent in place of a file.
    pub precompressed: bool,
    /// For how many seconds a cache may keep an answer without asking (`Cache-Control: max-age`).
    pub max_age: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { listing: false, dotfiles: false, symlinks: true, precompressed: false, max_age: None }
    }
}

/// Serves one directory. (the seed's `AsyncHTTPRequestHandler`, its `do_GET` and `do_HEAD`)
#[derive(Debug)]
pub struct FileService {
    root: Root,
    options: Options,
}

impl FileService {
    /// Serves the files beneath `root`.
    ///
    /// # Errors
    /// When `root` cannot be opened or is no directory.
    pub fn open(root: &Path) -> io::Result<Self> {
        Self::with_options(root, Options::default())
    }

    /// As [`FileService::open`], with options.
    ///
    /// # Errors
    /// As [`FileService::open`].
    pub fn with_options(root: &Path, options: Options) -> io::Result<Self> {
        let symlinks = if options.symlinks { Symlinks::Follow } else { Symlinks::Refuse };
        Ok(Self { root: Root::open(root, symlinks)?, options })
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    fn get(&self, request: &Request<'_>, path: &[u8], query: Option<&[u8]>, now: Now) -> Response {
        let dotfiles = if self.options.dotfiles { Dotfiles::Serve } else { Dotfiles::Hide };
        let wanted = match path::normalise(path, dotfiles) {
            Ok(wanted) => wanted,
            Err(Refused::Malformed) => return Response::error(Status::BAD_REQUEST),
            Err(Refused::Hidden) => return Response::error(Status::NOT_FOUND),
        };
        match self.root.find(&wanted, INDEX) {
            Ok(Found::File(file)) => {
                debug!("{} is {} bytes", wanted.relative.display(), file.slice.len);
                let representation = self.represent(request, &wanted, file);
                send::file(request, &wanted, representation, self.options.max_age, now)
            }
            Ok(Found::Directory) => redirect(&wanted, query),
            Err(error) if self.options.listing && wanted.as_directory && is_missing(&error) => {
                listing::read(&self.root, &wanted, dotfiles)
                    .map_or_else(|error| refuse(&wanted, &error), |listing| send::listing(request, listing))
            }
            Err(error) => refuse(&wanted, &error),
        }
    }

    /// The file itself, or a sibling that holds the same in an encoding that the client takes.
    fn represent(&self, request: &Request<'_>, wanted: &Wanted, original: open::File) -> Representation {
        let plain = |file, varies| Representation { file, coding: None, varies };
        if !self.options.precompressed {
            return plain(original, false);
        }
        // A range is one of the file itself: a client that goes on with what it has must not be sent a
        // piece of something else.
        let ranged = request.method == Method::Get && request.fields.get("Range").is_some();
        let order = if ranged { Order::none() } else { Order::of(request.fields) };
        let not_before = original.facts.modified;
        let sibling = |coding: &&'static Coding| self.root.sibling(wanted, INDEX, coding.suffix, not_before);
        if let Some((file, coding)) =
            order.accepted.iter().find_map(|coding| Some((sibling(coding)?, *coding)))
        {
            return Representation { file, coding: Some(coding), varies: true };
        }
        let varies = order.others.iter().any(|coding| sibling(coding).is_some());
        plain(original, varies)
    }
}

impl Service for FileService {
    fn handle(&self, request: &Request<'_>, now: Now) -> Response {
        match (request.method, request.target) {
            (Method::Get | Method::Head, Target::Path { path, query }) => self.get(request, path, query, now),
            (Method::Options, _) => allowing(Response::new(Status::NO_CONTENT)),
            (Method::Other(_), _) => allowing(Response::error(Status::NOT_IMPLEMENTED)),
            _ => allowing(Response::error(Status::METHOD_NOT_ALLOWED)),
        }
    }
}

fn allowing(mut response: Response) -> Response {
    response.field("Allow", ALLOW);
    response
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// RULES B12: which failures are the client's, which ours.
fn status_of(error: &io::Error) -> Status {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::XDEV | Errno::NXIO) => {
            Status::NOT_FOUND
        }
        Some(Errno::ACCESS | Errno::PERM) => Status::FORBIDDEN,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

fn refuse(wanted: &Wanted, error: &io::Error) -> Response {
    let status = status_of(error);
    if status.code() >= 500 {
        warn!("cannot open {}: {error}", wanted.relative.display());
    }
    Response::error(status)
}

/// `/dir` → `/dir/`: the links in its index are relative to it. The query is kept; the address is absolute
/// by path, so that no `Host` of the client's and no `//other.host` gets into it (RULES B10, B11).
fn redirect(wanted: &Wanted, query: Option<&[u8]>) -> Response {
    let mut location = String::new();
    for segment in wanted.segments() {
        location.push('/');
        location.extend(percent_encode(segment, path::ENCODED));
    }
    location.push('/');
    if let Some(query) = query {
        // The query was checked as part of the target: graphic ASCII.
        location.push('?');
        location.push_str(&String::from_utf8_lossy(query));
    }
    let mut response = Response::error(Status::MOVED_PERMANENTLY);
    response.field("Location", location);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    /// RULES B12, and what cannot be brought about over the wire.
    #[test]
    fn failures_and_their_statuses() {
        for (errno, want) in [
            (Errno::NOENT, 404),
            (Errno::NOTDIR, 404),
            (Errno::NAMETOOLONG, 404),
            (Errno::LOOP, 404),
            (Errno::XDEV, 404),
            (Errno::NXIO, 404),
            (Errno::ACCESS, 403),
            (Errno::PERM, 403),
            (Errno::MFILE, 503),
            (Errno::NFILE, 503),
            (Errno::NOMEM, 503),
            (Errno::AGAIN, 503),
            (Errno::IO, 500),
            (Errno::STALE, 500),
        ] {
            assert_eq!(status_of(&errno.into()).code(), want, "{errno}");
        }
    }
}
