//! The service that answers with files of one directory.
//!
//! ```text
//! target ──► path ──► open ──► conditional ──► range ──► Response
//!          (decode,  (jail,   (304, 412)     (206, 416)
//!           normalise) fstat)
//! ```
//!
//! The path is decoded once, then normalised, then opened beneath the root by the kernel; what it is and
//! when it changed is asked of the opened descriptor, never of the name again.

mod conditional;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod mime;
mod open;
mod path;
mod range;

use std::io;
use std::path::Path;

use log::{debug, warn};
use percent_encoding::percent_encode;

use crate::clock::Now;
use crate::http1::{Body, Method, Request, Response, Service, Status, Target};

use conditional::{Validators, Verdict};
use open::{Found, Root};
use path::{Refused, Wanted};

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
        Ok(Self { root: Root::open(root)?, options })
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    fn get(&self, request: &Request<'_>, path: &[u8], query: Option<&[u8]>, now: Now) -> Response {
        let wanted = match path::normalise(path) {
            Ok(wanted) => wanted,
            Err(Refused::Malformed) => return Response::error(Status::BAD_REQUEST),
            Err(Refused::Hidden) => return Response::error(Status::NOT_FOUND),
        };
        match self.root.find(&wanted, INDEX) {
            Ok(Found::File(file)) => {
                debug!("{} is {} bytes", wanted.relative.display(), file.slice.len);
                send_file(request, &wanted, file, now)
            }
            Ok(Found::Directory) => redirect(&wanted, query),
            Err(error) => refuse(&wanted, &error),
        }
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

/// RULES B12: which failures are the client's, which ours.
fn refuse(wanted: &Wanted, error: &io::Error) -> Response {
    use rustix::io::Errno;
    let status = match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::XDEV | Errno::NXIO) => {
            Status::NOT_FOUND
        }
        Some(Errno::ACCESS | Errno::PERM) => Status::FORBIDDEN,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    };
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

/// The file, or as much of it as is asked for, or that the client has it already. (the seed's `send_head`)
fn send_file(request: &Request<'_>, wanted: &Wanted, file: open::File, now: Now) -> Response {
    let validators = Validators::of(&file.facts, now);
    match conditional::evaluate(request, &validators) {
        Verdict::Failed => return Response::error(Status::PRECONDITION_FAILED),
        Verdict::NotModified => {
            let mut response = Response::new(Status::NOT_MODIFIED);
            validators.write_to(&mut response);
            return response;
        }
        Verdict::Send => {}
    }
    let size = file.slice.len;
    let content_type = mime::content_type(&wanted.name(INDEX));
    let ranges = match range::wanted(request, &validators, size) {
        range::Wanted::Whole => Vec::new(),
        range::Wanted::Parts(ranges) => ranges,
        range::Wanted::Unsatisfiable => {
            let mut response = Response::error(Status::RANGE_NOT_SATISFIABLE);
            response.field("Content-Range", format_args!("bytes */{size}"));
            return response;
        }
    };
    let status = if ranges.is_empty() { Status::OK } else { Status::PARTIAL_CONTENT };
    let mut response = Response::new(status);
    validators.write_to(&mut response);
    response.field("Accept-Ranges", "bytes");
    match ranges.as_slice() {
        [] => {
            response.field("Content-Type", &content_type);
            response.body = file.into_body();
        }
        [range] => {
            response.field("Content-Type", &content_type);
            response.field("Content-Range", format_args!("bytes {range}/{size}"));
            response.body = Body::File(file.slice.slice(range.first, range.len()));
        }
        several => range::write_multipart(several, &content_type, &file.slice, now, &mut response),
    }
    response
}
