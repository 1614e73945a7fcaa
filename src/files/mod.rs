//! The service for the files of one directory.
//!
//! ```text
//!    ┌───────────────────────── cache ─────────────────────────┐
//!    │                                                         ▼
//! target ──► path ─► pages ─► root ──► encoding ──► content ──► document ──► conditional ──► range ──► Response
//!          (decode,  (which    (open,  (which       (one                     (304, 412)     (206, 416)     ▲
//!           normalise) file?)   fstat)  sibling?)    version)                                              │
//!                              └────► reading ──► listing ──► rows (page, listing_json) ─────────────────┘
//! ```
//!
//! The path is decoded once, then normalised, then opened beneath the root by the kernel. Type, size and times come
//! from the open descriptor, never from the name. A document in the cache is compared with what is at its path before each
//! use. What the operator adds (`rules`, with `glob` and `cors`) is in its field lines, which are made once.

mod accept;
mod cache;
mod conditional;
mod content;
mod cors;
mod document;
mod encoding;
mod error_page;
mod glob;
mod listing;
mod listing_json;
mod media_type;
mod multipart;
mod natural;
mod page;
mod pages;
mod path;
mod range;
mod reading;
mod redirect;
mod refusal;
mod root;
mod rows;
mod rules;
mod type_table;
mod view;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, info, warn};
use rustix::io::Errno;

use crate::clock::{Instant, Now};
use crate::http1::{
    Arrival, Method, Reply, Request, Response, Service, Status, StepwiseResponse as _, Target,
};

use accept::prefers_html;
use cache::{Bounds, Cache};
use conditional::{PreconditionOutcome, Validators};
use content::Content;
use document::{Document, Found, Policy};
use encoding::Order;
use error_page::ErrorPages;
use listing::ListingMemory;
use media_type::MediaType;
use pages::{FoundPage, PageFile};
use reading::{Listed, Reading};
use redirect::redirect_to_page;
use refusal::{ALLOW, Refusal, refuse};
use root::{File, Root};
use view::View;

pub use crate::sys::beneath::Symlinks;
pub use cors::Cors;
pub use error_page::ErrorFile;
pub use glob::Glob;
pub use pages::PageOptions;
pub use path::{Dotfiles, PathError, ResolvedPath, normalise};
pub use range::{ByteRange, RangeOutcome, parse_range};
pub use redirect::redirect_to_directory;
pub use rules::{CacheRule, GivenField, Rules};
pub use type_table::{TypeTable, is_type};

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
    /// Fields, caching and CORS by path.
    pub rules: Option<Arc<Rules>>,
    /// Media types that come before the server's own.
    pub types: Option<Arc<TypeTable>>,
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
            rules: None,
            types: None,
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
    listings: ListingMemory,
    cache: RefCell<Cache<Rc<Document>>>,
    errors: Arc<ErrorPages>,
    /// Counts the received pieces of input.
    piece: Cell<u64>,
    /// When a link out of the root was last logged.
    complained: Cell<Option<Instant>>,
    /// Whether the log says how a folder is listed.
    told_of_listings: Cell<bool>,
}

/// What is sent for a path without a document.
#[derive(Debug)]
enum Instead {
    /// A response that lacks the fields of the rules.
    Response(Response),
    /// A whole one.
    Listing(Reply),
    /// The document of paths that do not exist.
    Fallback,
}

impl From<Response> for Instead {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
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
        let errors = Arc::new(ErrorPages::new(&options.pages.index, &options.pages.errors));
        Self {
            root,
            options,
            listings: ListingMemory::default(),
            cache,
            errors,
            piece: Cell::new(0),
            complained: Cell::new(None),
            told_of_listings: Cell::new(false),
        }
    }

    /// The directory that is served: the one that has the path of the root, unless the service was made without a path.
    #[must_use]
    pub fn root(&self) -> Arc<OwnedFd> {
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

    fn get(&self, asked: PathRequest<'_>) -> Reply {
        if asked.request.arrival != Arrival::WithPrevious {
            self.piece.set(self.piece.get() + 1);
        }
        self.serve(asked)
    }

    fn serve(&self, asked: PathRequest<'_>) -> Reply {
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
        found.map_or_else(|instead| self.send_instead(asked, instead), |document| self.send(asked, &document))
    }

    fn send_instead(&self, asked: PathRequest<'_>, instead: Instead) -> Reply {
        match instead {
            Instead::Response(mut response) => {
                self.complete(asked.request, &mut response);
                response.into()
            }
            Instead::Listing(reply) => reply,
            Instead::Fallback => self.serve(PathRequest { path: FALLBACK, ..asked }),
        }
    }

    #[inline]
    fn send(&self, asked: PathRequest<'_>, document: &Document) -> Reply {
        if document.is_special() {
            return self.send_special(asked, document);
        }
        Reply::Ready(document::respond(asked.request, document, asked.now))
    }

    /// As [`FileService::send`], for a sibling in another encoding and for responses that depend on the origin.
    fn send_special(&self, asked: PathRequest<'_>, document: &Document) -> Reply {
        let response = match document.is_encoded() && is_ranged(asked.request) {
            true => self.respond_to_range(asked, document),
            false => Ok(document::respond(asked.request, document, asked.now)),
        };
        match response {
            Ok(mut response) => {
                if let Some(rules) = &self.options.rules {
                    rules.allow_origin(asked.request, &mut response);
                }
                response.into()
            }
            Err(instead) => self.send_instead(asked, instead),
        }
    }

    /// Adds the fields of the rules to a response without a file.
    fn complete(&self, request: &Request<'_>, response: &mut Response) {
        if let Some(rules) = &self.options.rules {
            let path = request.path().and_then(|path| normalise(path, Dotfiles::Serve).ok());
            let names = path.map(|path| path.names());
            rules.complete(request, names.as_ref(), response);
        }
    }

    /// Responds to a request with a range, for which `encoded` would be sent if it had none. Ranges are those of the
    /// original, because most clients continue a download of decoded bytes. It is opened each time: few ask for parts of
    /// a file that is small enough to have siblings.
    fn respond_to_range(&self, asked: PathRequest<'_>, encoded: &Document) -> Result<Response, Instead> {
        let PathRequest { request, now, .. } = asked;
        let original = self.find(asked, Variant::Original)?;
        if range::is_of_original(request, &encoded.validators, &original.validators) {
            let response = document::respond(request, &original, now);
            if response.status != Status::OK {
                return Ok(response);
            }
        }
        // The range is ignored, as if there were none.
        Ok(document::respond(request, encoded, now))
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

    /// Opens the document at a path, or returns what is sent for a path without one.
    fn find(&self, asked: PathRequest<'_>, variant: Variant) -> Result<Document, Instead> {
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
                Ok(self.document(found, now))
            }
            Ok(None) => Err(redirect_to_directory(path, query).into()),
            Err(error) => Err(self.respond_without(asked, &resolved, &error)),
        }
    }

    fn document(&self, found: Found, now: Now) -> Document {
        let policy = Policy::of(self.options.max_age, self.options.rules.as_deref(), &found.path);
        Document::new(found, policy, now)
    }

    /// What is sent for a path without a document: a listing, a redirect, the document of paths that do not exist, or an
    /// error.
    fn respond_without(&self, asked: PathRequest<'_>, path: &ResolvedPath, error: &io::Error) -> Instead {
        let PathRequest { request, query, now, .. } = asked;
        let pages = &self.options.pages;
        let is_unindexed = path.as_directory && is_missing(error);
        if is_unindexed && self.options.listing {
            match self.list(asked, path) {
                Ok(reply) => return Instead::Listing(reply),
                Err(error) if is_missing(&error) => {}
                Err(error) => return self.errors.respond(refuse(path, &error), request).into(),
            }
        }
        if is_unindexed
            && pages.has_page_beside(&self.root, path)
            && let Some(name) = path.relative.file_name()
            && let Some(redirect) = redirect_to_page(asked.path, query, name)
        {
            return redirect.into();
        }
        if pages.fallback.is_some() && pages::is_free(error) && prefers_html(request.fields) {
            return Instead::Fallback;
        }
        self.note_link_out(path, error, now);
        let is_hinted = is_unindexed && !self.options.listing && self.root.open_directory(path).is_ok();
        if is_hinted {
            self.note_unlisted(path);
        }
        let refusal = if is_hinted { Refusal::NoIndex } else { refuse(path, error) };
        self.errors.respond(refusal, request).into()
    }

    /// Opens the document of paths that do not exist.
    fn find_fallback(&self, asked: PathRequest<'_>, variant: Variant) -> Result<Document, Instead> {
        let PathRequest { request, now, .. } = asked;
        let missing = || self.errors.respond(Refusal::Missing, request);
        let path = self.options.pages.fallback.as_ref().ok_or_else(missing)?;
        match self.read(request, path, variant) {
            Ok(Some(found)) => Ok(self.document(found, now).into_fallback()),
            Ok(None) => Err(missing().into()),
            Err(error) => Err(self.errors.respond(refuse(path, &error), request).into()),
        }
    }

    fn dotfiles(&self) -> Dotfiles {
        if self.options.dotfiles { Dotfiles::Serve } else { Dotfiles::Hide }
    }

    /// Lists the directory at a path: at once if it is small.
    fn list(&self, asked: PathRequest<'_>, path: &ResolvedPath) -> io::Result<Reply> {
        let PathRequest { request, query, .. } = asked;
        let view = View::of(query, request.fields.all("Accept"));
        let reading = Reading::begin(&self.root, path.clone(), self.dotfiles(), view, &self.listings)?;
        // A listing has no validators.
        match conditional::evaluate(request, &Validators::default()) {
            PreconditionOutcome::Send => {}
            outcome => {
                let mut response = match outcome {
                    PreconditionOutcome::Failed => Response::error(Status::PRECONDITION_FAILED),
                    _ => Response::new(Status::NOT_MODIFIED),
                };
                self.complete(request, &mut response);
                return Ok(response.into());
            }
        }
        let (mut head, mut error) = (rows::head(view), Response::new(Status::FORBIDDEN));
        self.complete(request, &mut head);
        self.complete(request, &mut error);
        let mut listed = Listed {
            reading,
            head,
            errors: Arc::clone(&self.errors),
            is_html: prefers_html(request.fields),
            error_lines: error.fields().to_vec(),
        };
        Ok(listed.step().map_or_else(|| Reply::Stepwise(Box::new(listed)), Reply::Ready))
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

    /// Logs once that a folder without an index is not listed: the operator may not know the option.
    fn note_unlisted(&self, path: &ResolvedPath) {
        if !self.told_of_listings.replace(true) {
            let index = self.options.pages.index.join(" or ");
            info!("/{} has no {index}, and is 404 without --listing", path.shown());
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
            let (name, types) = (path.file_name().unwrap_or_default(), self.options.types.as_deref());
            let media_type = MediaType::of(name, original.file.as_fd(), original.metadata.size, types)?;
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
                return Ok(Some(Found { path, lookups, metadata, content, media_type, coding, varies }));
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
    pub fn respond(&self, request: &Request<'_>, now: Now) -> Reply {
        let mut response = match (request.method, request.target) {
            (Method::Get | Method::Head, Target::Path { path, query }) => {
                return self.get(PathRequest { request, path, query, now });
            }
            (Method::Options, _) => {
                let mut response = Response::new(Status::NO_CONTENT);
                response.field("Allow", ALLOW);
                response
            }
            (Method::Other(_), _) => self.errors.respond(Refusal::UnknownMethod, request),
            _ => self.errors.respond(Refusal::Method, request),
        };
        self.complete(request, &mut response);
        response.into()
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
        self.respond(request, now)
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
