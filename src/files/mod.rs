//! The service that answers with files of one directory.
//!
//! ```text
//!    ┌──────────────────── cache ─────────────────────┐
//!    │                                                ▼
//! target ──► path ──► open ──► encoding ──► document ──► conditional ──► range ──► Response
//!          (decode,  (jail,   (which                    (304, 412)     (206, 416)      ▲
//!           normalise) fstat)  sibling?)                                               │
//!                      └────► listing ──► page ────────────────────────────────────────┘
//! ```
//!
//! The path is decoded once, then normalised, then opened beneath the root by the kernel; what it is and
//! when it changed is asked of the opened descriptor, never of the name again.

mod cache;
mod conditional;
mod document;
mod encoding;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod human;
mod listing;
mod mime;
mod open;
mod page;
mod path;
mod range;
mod send;

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use log::{debug, warn};
use percent_encoding::percent_encode;

use crate::clock::Now;
use crate::http1::{Method, Reply, Request, Response, Service, Status, Target};
use crate::sys::beneath::Symlinks;

use cache::{Bounds, Cache, Lookup};
use document::Document;
use encoding::{Coding, Order};
use listing::Kept;
use open::{File, Found, Root};
use path::{Dotfiles, Refused, Wanted};

/// The methods of a resource (`Allow`, RFC 9110 §10.2.1).
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// What a directory's own document is called.
const INDEX: &str = "index.html";

/// nginx's documentation shows this number; the files that are asked for all the time are fewer.
const CACHED_FILES: usize = 1000;

/// Bytes of small files that are kept in memory.
const CACHED_BYTES: usize = 16 * 1024 * 1024;

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
    /// For how long what was found at a path is believed without looking again; zero for not at all.
    pub file_cache: Duration,
    /// How many files are kept open at the most, so that they are found at once.
    pub cached_files: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listing: false,
            dotfiles: false,
            symlinks: true,
            precompressed: false,
            max_age: None,
            file_cache: Duration::ZERO,
            cached_files: CACHED_FILES,
        }
    }
}

/// Serves one directory. (the seed's `AsyncHTTPRequestHandler`, its `do_GET` and `do_HEAD`)
#[derive(Debug)]
pub struct FileService {
    root: Root,
    options: Options,
    kept: Kept,
    cache: RefCell<Cache<Rc<Document>>>,
}

fn symlinks(options: Options) -> Symlinks {
    if options.symlinks { Symlinks::Follow } else { Symlinks::Refuse }
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
        Ok(Self::of(Root::open(root, symlinks(options))?, options))
    }

    /// Serves a directory that is open: [`FileService::root`] of another service, say, in another thread. Each
    /// has a cache of its own.
    #[must_use]
    pub fn of_directory(root: OwnedFd, options: Options) -> Self {
        Self::of(Root::of(root, symlinks(options)), options)
    }

    fn of(root: Root, options: Options) -> Self {
        let bounds =
            Bounds { entries: options.cached_files, bytes: CACHED_BYTES, validity: options.file_cache };
        Self { root, options, kept: Kept::default(), cache: RefCell::new(Cache::new(bounds)) }
    }

    /// The directory that is served: it is the same one, whatever has become of its name.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    fn get(&self, request: &Request<'_>, path: &[u8], query: Option<&[u8]>, now: Now) -> Response {
        let key = self.key(request, path);
        let known = match self.cache.borrow_mut().get(&key, now.monotonic) {
            Lookup::Fresh(document) => return send::document(request, &document, now),
            Lookup::Stale(document) => Some(document),
            Lookup::Nothing => None,
        };
        match self.find(request, path, query, now) {
            Ok(document) => {
                let document = self.keep(&key, known, document, now);
                send::document(request, &document, now)
            }
            Err(response) => {
                self.cache.borrow_mut().remove(&key);
                response
            }
        }
    }

    /// By what a document is found again: the path as it was sent, and whatever else decides which one it is.
    fn key<'p>(&self, request: &Request<'_>, path: &'p [u8]) -> Cow<'p, [u8]> {
        if !self.options.precompressed {
            return path.into();
        }
        // A target has no spaces, so nothing of this can be part of a path.
        let mut key = path.to_vec();
        for line in request.fields.all("Accept-Encoding") {
            key.push(b' ');
            key.extend_from_slice(line);
        }
        if is_ranged(request) {
            key.extend_from_slice(b" range");
        }
        key.into()
    }

    /// Keeps what was found; if it is what is known already, that goes on being used.
    fn keep(&self, key: &[u8], known: Option<Rc<Document>>, found: Document, now: Now) -> Rc<Document> {
        let mut cache = self.cache.borrow_mut();
        if let Some(known) = known.filter(|known| known.is_still(&found)) {
            cache.confirm(key, now.monotonic);
            return known;
        }
        let (weight, found) = (found.weight(), Rc::new(found));
        cache.insert(key, Rc::clone(&found), weight, now.monotonic);
        found
    }

    /// What the path leads to, or the answer when that is no file.
    fn find(
        &self,
        request: &Request<'_>,
        path: &[u8],
        query: Option<&[u8]>,
        now: Now,
    ) -> Result<Document, Response> {
        let dotfiles = if self.options.dotfiles { Dotfiles::Serve } else { Dotfiles::Hide };
        let wanted = match path::normalise(path, dotfiles) {
            Ok(wanted) => wanted,
            Err(Refused::Malformed) => return Err(Response::error(Status::BAD_REQUEST)),
            Err(Refused::Hidden) => return Err(Response::error(Status::NOT_FOUND)),
        };
        match self.root.find(&wanted, INDEX) {
            Ok(Found::File(file)) => {
                debug!("{} is {} bytes", wanted.relative.display(), file.slice.len);
                Ok(self.represent(request, &wanted, file, now))
            }
            Ok(Found::Directory) => Err(redirect(&wanted, query)),
            Err(error) if self.options.listing && wanted.as_directory && is_missing(&error) => {
                Err(listing::read(&self.root, &wanted, dotfiles, &self.kept, now)
                    .map_or_else(|error| refuse(&wanted, &error), |listing| send::listing(request, listing)))
            }
            Err(error) => Err(refuse(&wanted, &error)),
        }
    }

    /// The file itself, or a sibling that holds the same in an encoding that the client takes.
    fn represent(&self, request: &Request<'_>, wanted: &Wanted, original: File, now: Now) -> Document {
        let document =
            |file, coding, varies| Document::new(wanted, file, coding, varies, self.options.max_age, now);
        if !self.options.precompressed {
            return document(original, None, false);
        }
        // A range is one of the file itself: a client that goes on with what it has must not be sent a
        // piece of something else.
        let order = if is_ranged(request) { Order::none() } else { Order::of(request.fields) };
        let not_before = original.facts.modified;
        let sibling = |coding: &&'static Coding| self.root.sibling(wanted, INDEX, coding.suffix, not_before);
        if let Some((file, coding)) =
            order.accepted.iter().find_map(|coding| Some((sibling(coding)?, *coding)))
        {
            return document(file, Some(coding), true);
        }
        let varies = order.others.iter().any(|coding| sibling(coding).is_some());
        document(original, None, varies)
    }
}

fn is_ranged(request: &Request<'_>) -> bool {
    request.method == Method::Get && request.fields.get("Range").is_some()
}

impl FileService {
    /// Responds to one request.
    #[must_use]
    pub fn respond(&self, request: &Request<'_>, now: Now) -> Response {
        match (request.method, request.target) {
            (Method::Get | Method::Head, Target::Path { path, query }) => self.get(request, path, query, now),
            (Method::Options, _) => allowing(Response::new(Status::NO_CONTENT)),
            (Method::Other(_), _) => allowing(Response::error(Status::NOT_IMPLEMENTED)),
            _ => allowing(Response::error(Status::METHOD_NOT_ALLOWED)),
        }
    }

    /// Closes files that nobody has asked for lately: a file that was removed gives its space back then. Returns in
    /// what time to call again, if anything is kept.
    pub fn tend(&self, now: Now) -> Option<Duration> {
        let mut cache = self.cache.borrow_mut();
        cache.sweep(now.monotonic);
        (!cache.is_empty()).then_some(self.options.file_cache.max(LEAST_REST))
    }
}

impl Service for FileService {
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply {
        Reply::Ready(self.respond(request, now))
    }
}

/// How long it is between two looks at what is kept, at the least.
const LEAST_REST: Duration = Duration::from_secs(1);

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
