//! The service for the files of one directory.
//!
//! ```text
//!    ┌─────────────── cache ───────────────┐
//!    │                                     ▼
//! target ──► path ──────► encoding ──► document ──► conditional ──► range ──► Response
//!          (decode,       (which                    (304, 412)     (206, 416)      ▲
//!           normalise,     sibling?)                                               │
//!           open, fstat)                                                           │
//!             └────────► listing ──► page ─────────────────────────────────────────┘
//! ```
//!
//! The path is decoded once, then normalised, then opened beneath the root by the kernel. Kind, size and times come
//! from the open descriptor, never from the name.

mod cache;
mod conditional;
mod document;
mod encoding;
mod listing;
mod media_type;
mod multipart;
mod page;
mod path;
mod range;
mod redirect;

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use log::{debug, warn};

use crate::clock::Now;
use crate::http1::{Method, Reply, Request, Response, Service, Status, Target};
use crate::sys::beneath::Symlinks;

use cache::{Bounds, Cache, Lookup};
use document::Document;
use encoding::{Coding, Order};
use listing::ListingCache;
use media_type::MediaType;
use page::Page;
use path::{File, OpenOutcome, Root};

pub use path::{Dotfiles, PathError, ResolvedPath, normalise};
pub use range::{ByteRange, RangeOutcome, parse_range};
pub use redirect::redirect_to_directory;

/// The methods of a resource (`Allow`, RFC 9110 §10.2.1).
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// Files in the cache: the number in nginx's documentation, and more than the popular files of most sites.
const CACHED_FILES: usize = 1000;

/// Bytes of small files in the cache.
const CACHED_BYTES: usize = 16 * 1024 * 1024;

/// Which files are served, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether a directory without an index is listed.
    pub listing: bool,
    /// Whether names with a leading dot are served. Many are not meant to be: `.git`, `.env`.
    pub dotfiles: bool,
    /// Whether symbolic links inside the root are followed.
    pub symlinks: bool,
    /// Whether a sibling with the suffix `.br`, `.zst` or `.gz` may be sent in place of a file.
    pub precompressed: bool,
    /// For how many seconds clients may cache a response (`Cache-Control: max-age`).
    pub max_age: Option<u32>,
    /// How long a cached file is used without a check; zero for no cache.
    pub file_cache: Duration,
    /// The most files that the cache keeps open.
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

/// Serves one directory. (the seed's `AsyncHTTPRequestHandler` with `do_GET` and `do_HEAD`)
#[derive(Debug)]
pub struct FileService {
    root: Root,
    options: Options,
    listings: ListingCache,
    cache: RefCell<Cache<Rc<Document>>>,
}

/// Which of the encodings of a file is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The one that the client prefers.
    Accepted,
    /// The file itself.
    Original,
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

    /// Serves an open directory, such as [`FileService::root`] of a service in another thread. Each service has its own
    /// cache.
    #[must_use]
    pub fn of_directory(root: OwnedFd, options: Options) -> Self {
        Self::of(Root::of(root, symlinks(options)), options)
    }

    fn of(root: Root, options: Options) -> Self {
        let bounds =
            Bounds { entries: options.cached_files, bytes: CACHED_BYTES, validity: options.file_cache };
        let cache = RefCell::new(Cache::new(bounds));
        Self { root, options, listings: ListingCache::default(), cache }
    }

    /// The directory that is served; renaming it changes nothing.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The options of this service.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    fn get(&self, request: &Request<'_>, path: &[u8], query: Option<&[u8]>, now: Now) -> Response {
        let key = self.cache_key(request, path);
        let known = match self.cache.borrow_mut().get(&key, now.monotonic) {
            Lookup::Fresh(document) => return self.send(request, path, query, &document, now),
            Lookup::Stale(document) => Some(document),
            Lookup::Nothing => None,
        };
        match self.find(request, path, query, Variant::Accepted, now) {
            Ok(document) => {
                let document = self.update_cache(&key, known, document, now);
                self.send(request, path, query, &document, now)
            }
            Err(response) => {
                self.cache.borrow_mut().remove(&key);
                response
            }
        }
    }

    #[inline]
    fn send(
        &self,
        request: &Request<'_>,
        path: &[u8],
        query: Option<&[u8]>,
        document: &Document,
        now: Now,
    ) -> Response {
        if document.is_encoded() && is_ranged(request) {
            return self.send_range(request, path, query, document, now);
        }
        document::respond(request, document, now)
    }

    /// Responds to a request with a range, for which `encoded` would be sent if it had none. Ranges are those of the
    /// original, because most clients continue a download of decoded bytes. It is opened each time: few ask for parts of
    /// a file that is small enough to have siblings.
    fn send_range(
        &self,
        request: &Request<'_>,
        path: &[u8],
        query: Option<&[u8]>,
        encoded: &Document,
        now: Now,
    ) -> Response {
        let original = match self.find(request, path, query, Variant::Original, now) {
            Ok(original) => original,
            Err(response) => return response,
        };
        if range::is_of_original(request, &encoded.validators, &original.validators) {
            let response = document::respond(request, &original, now);
            if response.status != Status::OK {
                return response;
            }
        }
        // The range is ignored, as if there were none.
        document::respond(request, encoded, now)
    }

    /// The cache key of a request: the path as it was sent, and the fields that decide between encodings.
    fn cache_key<'p>(&self, request: &Request<'_>, path: &'p [u8]) -> Cow<'p, [u8]> {
        if !self.options.precompressed {
            return path.into();
        }
        // A target has no spaces, so no path contains this.
        let mut key = path.to_vec();
        for line in request.fields.all("Accept-Encoding") {
            key.push(b' ');
            key.extend_from_slice(line);
        }
        key.into()
    }

    /// Puts a found document into the cache. If the `known` one is still the same file, it stays and is returned.
    fn update_cache(
        &self,
        key: &[u8],
        known: Option<Rc<Document>>,
        found: Document,
        now: Now,
    ) -> Rc<Document> {
        let mut cache = self.cache.borrow_mut();
        if let Some(known) = known.filter(|known| known.is_still(&found)) {
            cache.confirm(key, now.monotonic);
            return known;
        }
        let (weight, found) = (found.weight(), Rc::new(found));
        cache.insert(key, Rc::clone(&found), weight, now.monotonic);
        found
    }

    /// Opens the document at a path, or returns the response for a path without one.
    fn find(
        &self,
        request: &Request<'_>,
        path: &[u8],
        query: Option<&[u8]>,
        variant: Variant,
        now: Now,
    ) -> Result<Document, Response> {
        let dotfiles = if self.options.dotfiles { Dotfiles::Serve } else { Dotfiles::Hide };
        let resolved = normalise(path, dotfiles).map_err(|error| match error {
            PathError::Malformed => Response::error(Status::BAD_REQUEST),
            PathError::Hidden => Response::error(Status::NOT_FOUND),
        })?;
        match self.root.find(&resolved) {
            Ok(OpenOutcome::File(file)) => {
                debug!("{} is {} bytes", resolved.shown(), file.slice.len);
                self.choose_encoding(request, &resolved, file, variant, now)
            }
            Ok(OpenOutcome::Directory) => Err(redirect_to_directory(path, query)),
            Err(error) if self.options.listing && resolved.as_directory && is_missing(&error) => {
                let listing = listing::read(&self.root, &resolved, dotfiles, &self.listings, now);
                Err(listing.map_or_else(
                    |error| refuse(&resolved, &error),
                    |(directory, listing)| page::respond(request, Page::new(directory, &resolved, listing)),
                ))
            }
            Err(error) => Err(refuse(&resolved, &error)),
        }
    }

    /// The original file, or a sibling in an encoding that the client accepts.
    fn choose_encoding(
        &self,
        request: &Request<'_>,
        path: &ResolvedPath,
        original: File,
        variant: Variant,
        now: Now,
    ) -> Result<Document, Response> {
        let media_type = MediaType::of(path.name(), &original.slice).map_err(|error| {
            warn!("cannot read {}: {error}", path.shown());
            Response::error(Status::INTERNAL_SERVER_ERROR)
        })?;
        // A file that is compressed already has no sibling that is more so.
        let may_vary = self.options.precompressed && media_type.coding.is_none();
        let document = |file, coding, varies| {
            Ok(Document::new(media_type, file, coding, varies, self.options.max_age, now))
        };
        if !may_vary {
            return document(original, None, false);
        }
        let order = match variant {
            Variant::Accepted => Order::of(request.fields),
            Variant::Original => Order::none(),
        };
        let not_before = original.metadata.modified;
        let sibling = |coding: &&'static Coding| self.root.sibling(path, coding.suffix, not_before);
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

    /// Closes files that are no longer requested, so that the space of a removed file becomes free. Returns the time
    /// until the next call, unless the cache is empty.
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

/// The shortest time between two sweeps of the cache.
const LEAST_REST: Duration = Duration::from_secs(1);

fn allowing(mut response: Response) -> Response {
    response.field("Allow", ALLOW);
    response
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// The status for a failed open: whether the client or the server is to blame (RULES B12).
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

fn refuse(path: &ResolvedPath, error: &io::Error) -> Response {
    let status = status_of(error);
    if status.code() >= 500 {
        warn!("cannot open {}: {error}", path.shown());
    }
    Response::error(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    /// RULES B12, also for errors that no request can cause.
    #[test]
    fn failures_and_their_statuses() {
        for (want, errnos) in [
            (
                404,
                &[Errno::NOENT, Errno::NOTDIR, Errno::NAMETOOLONG, Errno::LOOP, Errno::XDEV, Errno::NXIO][..],
            ),
            (403, &[Errno::ACCESS, Errno::PERM]),
            (503, &[Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN]),
            (500, &[Errno::IO, Errno::STALE]),
        ] {
            for errno in errnos {
                assert_eq!(status_of(&(*errno).into()).code(), want, "{errno}");
            }
        }
    }
}
