//! The service for the files of one directory.
//!
//! ```text
//!    ┌───────────────────────── cache ─────────────────────────┐
//!    │                                                         ▼
//! target ──► path ─► pages ─► root ──► encoding ──► content ──► document ──► conditional ──► range ──► Response
//!          (decode,  (which    (open,  (which       (one                     (304, 412)     (206, 416)     ▲
//!           normalise) file?)   fstat)  sibling?)    version)                                              │
//!                              └────► listing ──► page ───────────────────────────────────────────────────┘
//! ```
//!
//! The path is decoded once, then normalised, then opened beneath the root by the kernel. Type, size and times come
//! from the open descriptor, never from the name. A document in the cache is compared with what is at its path before each
//! use.

mod accept;
mod cache;
mod conditional;
mod content;
mod document;
mod encoding;
mod error_page;
mod listing;
mod media_type;
mod multipart;
mod page;
mod pages;
mod path;
mod range;
mod redirect;
mod refusal;
mod root;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use log::{debug, warn};
use rustix::io::Errno;

use crate::clock::{Instant, Now};
use crate::http1::{Arrival, Method, Reply, Request, Response, Service, Status, Target};

use accept::prefers_html;
use cache::{Bounds, Cache};
use content::Content;
use document::{Document, Found};
use encoding::Order;
use error_page::ErrorPages;
use listing::ListingCache;
use media_type::MediaType;
use page::Page;
use pages::{FoundPage, PageFile};
use redirect::redirect_to_page;
use refusal::{ALLOW, Refusal, refuse, refuse_listing};
use root::{File, Root};

pub use crate::sys::beneath::Symlinks;
pub use error_page::ErrorFile;
pub use pages::PageOptions;
pub use path::{Dotfiles, PathError, ResolvedPath, normalise};
pub use range::{ByteRange, RangeOutcome, parse_range};
pub use redirect::redirect_to_directory;

/// Files in the cache: the number in nginx's documentation, and more than the popular files of most sites.
const CACHED_FILES: usize = 1000;

/// Bytes of small files in the cache.
const CACHED_BYTES: usize = 16 * 1024 * 1024;

/// Which files are served, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether a directory without an index is listed.
    pub listing: bool,
    /// Whether names with a leading dot are served. Many are not meant to be: `.git`, `.env`.
    pub dotfiles: bool,
    /// Which symbolic links are followed.
    pub symlinks: Symlinks,
    /// Whether a sibling with the suffix `.br`, `.zst` or `.gz` may be sent in place of a file.
    pub precompressed: bool,
    /// For how many seconds clients may cache a response (`Cache-Control: max-age`).
    pub max_age: Option<u32>,
    /// How long a file stays in the cache without use; zero for no cache.
    pub file_cache: Duration,
    /// The most files that the cache keeps open.
    pub cached_files: usize,
    /// Which files are pages.
    pub pages: PageOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listing: false,
            dotfiles: false,
            symlinks: Symlinks::Inside,
            precompressed: false,
            max_age: None,
            file_cache: Duration::ZERO,
            cached_files: CACHED_FILES,
            pages: PageOptions::default(),
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
    errors: ErrorPages,
    /// Counts the received pieces of input.
    piece: Cell<u64>,
    /// When a link out of the root was last logged.
    complained: Cell<Option<Instant>>,
}

/// Which of the encodings of a file is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The one that the client prefers.
    Accepted,
    /// The file itself.
    Original,
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
        Ok(Self::of(Root::open(root, options.symlinks)?, options))
    }

    /// Serves an open directory, such as [`FileService::root`] of a service in another thread; `path` is its path, if it
    /// has one. Each service has its own cache.
    #[must_use]
    pub fn of_directory(root: OwnedFd, path: Option<&Path>, options: Options) -> Self {
        Self::of(Root::of(root, path, options.symlinks), options)
    }

    fn of(root: Root, options: Options) -> Self {
        let bounds = Bounds { entries: options.cached_files, bytes: CACHED_BYTES, rest: options.file_cache };
        let cache = RefCell::new(Cache::new(bounds));
        let errors = ErrorPages::new(&options.pages.index, &options.pages.errors);
        Self {
            root,
            options,
            listings: ListingCache::default(),
            cache,
            errors,
            piece: Cell::new(0),
            complained: Cell::new(None),
        }
    }

    /// The directory that is served: the one that has the path of the root, unless the service was made without a path.
    #[must_use]
    pub fn root(&self) -> Rc<OwnedFd> {
        self.root.directory()
    }

    /// The absolute path of the root, if it has one.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.root.path()
    }

    /// Notes that this process can open nothing outside of the root any more.
    pub fn confine(&self) {
        self.root.confine();
    }

    /// Whether [`FileService::confine`] was called.
    #[must_use]
    pub fn is_confined(&self) -> bool {
        self.root.is_confined()
    }

    /// Whether another directory has the path of the root, which this confined process cannot open.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.root.is_replaced()
    }

    /// The options of this service.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    fn get(&self, asked: PathRequest<'_>) -> Response {
        if asked.request.arrival != Arrival::WithPrevious {
            self.piece.set(self.piece.get() + 1);
        }
        self.serve(asked)
    }

    fn serve(&self, asked: PathRequest<'_>) -> Response {
        let PathRequest { request, now, .. } = asked;
        let turn = (request.arrival == Arrival::BeforeTurn).then_some(now.monotonic);
        let key = self.cache_key(asked);
        let known = self.cache.borrow_mut().get(&key, now.monotonic);
        if let Some(document) = known
            && document.is_current(&self.root, self.piece.get(), turn, now)
        {
            return self.send(asked, &document);
        }
        let found = self.find(asked, Variant::Accepted).map(Rc::new);
        let mut cache = self.cache.borrow_mut();
        match &found {
            Ok(document) if document.is_settled() => {
                cache.insert(&key, Rc::clone(document), document.weight(), now.monotonic);
            }
            _ => cache.remove(&key),
        }
        drop(cache);
        found.map_or_else(|response| response, |document| self.send(asked, &document))
    }

    #[inline]
    fn send(&self, asked: PathRequest<'_>, document: &Document) -> Response {
        if document.is_encoded() && is_ranged(asked.request) {
            return self.send_range(asked, document);
        }
        document::respond(asked.request, document, asked.now)
    }

    /// Responds to a request with a range, for which `encoded` would be sent if it had none. Ranges are those of the
    /// original, because most clients continue a download of decoded bytes. It is opened each time: few ask for parts of
    /// a file that is small enough to have siblings.
    fn send_range(&self, asked: PathRequest<'_>, encoded: &Document) -> Response {
        let PathRequest { request, now, .. } = asked;
        let original = match self.find(asked, Variant::Original) {
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
    fn cache_key<'p>(&self, PathRequest { request, path, .. }: PathRequest<'p>) -> Cow<'p, [u8]> {
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

    /// Opens the document at a path, or returns the response for a path without one.
    fn find(&self, asked: PathRequest<'_>, variant: Variant) -> Result<Document, Response> {
        let PathRequest { request, path, query, now } = asked;
        if path == FALLBACK {
            return self.find_fallback(asked, variant);
        }
        let resolved = normalise(path, self.dotfiles()).map_err(|error| {
            let refusal = match error {
                PathError::Malformed => Refusal::Malformed,
                PathError::Hidden => Refusal::Missing,
            };
            self.errors.respond(refusal, request)
        })?;
        match self.read(request, &resolved, variant) {
            Ok(Some(found)) => {
                debug!("{} is {} bytes", resolved.shown(), found.content.len());
                Ok(Document::new(found, self.options.max_age, now))
            }
            Ok(None) => Err(redirect_to_directory(path, query)),
            Err(error) => Err(self.respond_without(asked, &resolved, &error)),
        }
    }

    /// The response for a path without a document: a listing, a redirect, the document of paths that do not exist, or an
    /// error.
    fn respond_without(&self, asked: PathRequest<'_>, path: &ResolvedPath, error: &io::Error) -> Response {
        let PathRequest { request, query, now, .. } = asked;
        let pages = &self.options.pages;
        let is_unindexed = path.as_directory && is_missing(error);
        if is_unindexed && self.options.listing {
            match listing::read(&self.root, path, self.dotfiles(), &self.listings, now) {
                Ok((directory, listing)) => {
                    return page::respond(request, Page::new(directory, path, listing));
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => return self.errors.respond(refuse_listing(path, &error), request),
            }
        }
        if is_unindexed
            && pages.has_page_beside(&self.root, path)
            && let Some(name) = path.relative.file_name()
            && let Some(redirect) = redirect_to_page(asked.path, query, name)
        {
            return redirect;
        }
        if pages.fallback.is_some() && pages::is_free(error) && prefers_html(request.fields) {
            return self.serve(PathRequest { path: FALLBACK, ..asked });
        }
        self.note_link_out(path, error, now);
        let is_hinted = is_unindexed && !self.options.listing && self.root.open_directory(path).is_ok();
        let refusal = if is_hinted { Refusal::NoIndex } else { refuse(path, error) };
        self.errors.respond(refusal, request)
    }

    /// Opens the document of paths that do not exist.
    fn find_fallback(&self, asked: PathRequest<'_>, variant: Variant) -> Result<Document, Response> {
        let PathRequest { request, now, .. } = asked;
        let missing = || self.errors.respond(Refusal::Missing, request);
        let path = self.options.pages.fallback.as_ref().ok_or_else(missing)?;
        match self.read(request, path, variant) {
            Ok(Some(found)) => Ok(Document::new(found, self.options.max_age, now).into_fallback()),
            Ok(None) => Err(missing()),
            Err(error) => Err(self.errors.respond(refuse(path, &error), request)),
        }
    }

    fn dotfiles(&self) -> Dotfiles {
        if self.options.dotfiles { Dotfiles::Serve } else { Dotfiles::Hide }
    }

    /// Logs that a link leads out of the root: the operator may not know why the file is not there. A client cannot fill
    /// the log with it.
    fn note_link_out(&self, path: &ResolvedPath, error: &io::Error, now: Now) {
        let is_quiet = || self.complained.get().is_some_and(|at| now.monotonic - at < COMPLAINT);
        if Errno::from_io_error(error) == Some(Errno::XDEV) && !is_quiet() {
            self.complained.set(Some(now.monotonic));
            warn!(
                "{} leads out of the root by a symbolic link, and is 404 without --follow-symlinks",
                path.shown()
            );
        }
    }

    /// Opens and reads one version of a file; `None` for a directory.
    fn read(
        &self,
        request: &Request<'_>,
        path: &ResolvedPath,
        variant: Variant,
    ) -> io::Result<Option<Found>> {
        for _ in 0..MAX_CHANGES {
            let FoundPage::File(page) = self.options.pages.find(&self.root, path)? else {
                return Ok(None);
            };
            let PageFile { path, file: original, before } = page;
            let name = path.file_name().unwrap_or_default();
            let media_type = MediaType::of(name, original.file.as_fd(), original.metadata.size)?;
            // A file that is compressed already has no sibling that is more so.
            let order = match variant {
                _ if !self.options.precompressed || media_type.coding.is_some() => Order::default(),
                Variant::Accepted => Order::of(request.fields),
                Variant::Original => Order::none(),
            };
            let (chosen, coding, varies, mut lookups) = encoding::choose(&self.root, &path, original, order);
            let File { file, metadata, lookup } = chosen;
            lookups.push(lookup);
            lookups.extend(before);
            if let Some(content) = Content::read(file, &metadata, &path)? {
                return Ok(Some(Found { lookups, metadata, content, media_type, coding, varies }));
            }
        }
        // It is written without a pause, and will be quiet later.
        Err(Errno::AGAIN.into())
    }
}

/// A request for a path.
#[derive(Clone, Copy)]
struct PathRequest<'a> {
    request: &'a Request<'a>,
    path: &'a [u8],
    query: Option<&'a [u8]>,
    now: Now,
}

fn is_ranged(request: &Request<'_>) -> bool {
    request.method == Method::Get && request.fields.get("Range").is_some()
}

impl FileService {
    /// Responds to one request.
    #[must_use]
    pub fn respond(&self, request: &Request<'_>, now: Now) -> Response {
        match (request.method, request.target) {
            (Method::Get | Method::Head, Target::Path { path, query }) => {
                self.get(PathRequest { request, path, query, now })
            }
            (Method::Options, _) => {
                let mut response = Response::new(Status::NO_CONTENT);
                response.field("Allow", ALLOW);
                response
            }
            (Method::Other(_), _) => self.errors.respond(Refusal::UnknownMethod, request),
            _ => self.errors.respond(Refusal::Method, request),
        }
    }

    /// Closes files that are no longer requested, so that the space of a removed file becomes free, and looks whether the
    /// root is still there. Returns the time until the next call, unless the cache is empty.
    pub fn tend(&self, now: Now) -> Option<Duration> {
        let mut cache = self.cache.borrow_mut();
        self.piece.set(self.piece.get() + 1);
        self.root.refresh();
        cache.sweep(now.monotonic, |document| document.is_current(&self.root, self.piece.get(), None, now));
        (!cache.is_empty()).then_some(self.options.file_cache.max(LEAST_REST))
    }
}

impl Service for FileService {
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply {
        Reply::Ready(self.respond(request, now))
    }
}

/// The time between two lines about links that lead out of the root.
const COMPLAINT: Duration = Duration::from_secs(10);

/// The path of the document of paths that do not exist, in the cache: a target has no spaces, so no request has it.
const FALLBACK: &[u8] = b" ";

/// How often a file is read again that changes while it is read.
const MAX_CHANGES: usize = 3;

/// The shortest time between two sweeps of the cache.
const LEAST_REST: Duration = Duration::from_secs(1);

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
