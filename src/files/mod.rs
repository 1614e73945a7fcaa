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
//! use. What the operator adds (`rules`, with `glob` and `cors`) is in its field lines, which are made once. The tag of a large
//! file without a date is a hash of its content (`content_tag`), for which its first responses wait (`tagging`).

mod accept;
mod cache;
mod conditional;
mod content;
mod content_tag;
mod cors;
mod document;
mod encoding;
mod error_page;
mod explain;
mod finding;
mod glob;
mod hints;
mod listing;
mod listing_json;
mod media_type;
mod multipart;
mod natural;
mod observer;
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
mod tagging;
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

use crate::clock::Now;
use crate::http1::{Arrival, Method, Reply, Request, Response, Service, Status, Target};
use crate::sys::descriptor::duplicate;

use cache::{Bounds, Cache};
use content_tag::TagTable;
use document::Document;
use error_page::ErrorPages;
use finding::Instead;
use hints::Hints;
use listing::ListingMemory;
use refusal::{ALLOW, Refusal};
use root::Root;

pub use crate::sys::beneath::Symlinks;
pub use cors::Cors;
pub use error_page::ErrorFile;
pub use glob::Glob;
pub use observer::{Decisions, Observer, Unobserved};
pub use pages::PageOptions;
pub use path::{Dotfiles, PathError, ResolvedPath, normalise};
pub use range::{ByteRange, RangeOutcome, parse_range};
pub use redirect::{escape_uri, redirect_to_directory};
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
///
/// The code that makes a decision tells it to the observer `O`; a server has the one that takes no code.
#[derive(Debug)]
pub struct FileService<O = Unobserved> {
    root: Root,
    options: Options,
    listings: ListingMemory,
    cache: RefCell<Cache<Rc<Document>>>,
    tags: TagTable,
    errors: Arc<ErrorPages>,
    /// Counts the received pieces of input.
    piece: Cell<u64>,
    hints: Hints,
    observer: O,
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
        Ok(Self::of(Root::open(root, options.symlinks)?, options, Unobserved))
    }

    /// Serves an open directory, such as [`FileService::root`] of a service in another thread; `path` is its path, if it
    /// has one. Each service has its own cache.
    #[must_use]
    pub fn of_directory(root: OwnedFd, path: Option<&Path>, options: Options) -> Self {
        Self::of(Root::of(root, path, options.symlinks), options, Unobserved)
    }
}

impl<O: Observer> FileService<O> {
    /// A service for the same root with the same options, which tells its decisions to `observer`.
    ///
    /// # Errors
    /// As dup(2).
    pub fn observed<P: Observer>(&self, observer: P) -> io::Result<FileService<P>> {
        let root = duplicate(self.root().as_fd())?;
        let root = Root::of(root, self.path().as_deref(), self.options.symlinks);
        Ok(FileService::of(root, self.options.clone(), observer))
    }

    fn of(root: Root, options: Options, observer: O) -> Self {
        let bounds = Bounds { entries: options.cached_files, bytes: CACHED_BYTES, rest: options.file_cache };
        let cache = RefCell::new(Cache::new(bounds));
        let errors = Arc::new(ErrorPages::new(&options.pages.index, &options.pages.errors));
        Self {
            root,
            options,
            listings: ListingMemory::default(),
            cache,
            tags: TagTable::default(),
            errors,
            piece: Cell::new(0),
            hints: Hints::default(),
            observer,
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

    /// The way of a file that is in the cache has no call of a function for itself.
    #[inline(always)]
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
        self.open_and_serve(asked, &key)
    }

    #[inline(never)]
    fn open_and_serve(&self, asked: PathRequest<'_>, key: &[u8]) -> Reply {
        let now = asked.now;
        let found = self.find(asked, Variant::Accepted).and_then(|found| self.document(asked, found));
        let found = found.map(Rc::new);
        let mut cache = self.cache.borrow_mut();
        match &found {
            Ok(document) if document.is_settled() => {
                cache.insert(key, Rc::clone(document), document.weight(), now.monotonic);
            }
            _ => cache.remove(key),
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
            Instead::Reply(reply) => reply,
            Instead::Fallback => self.serve(PathRequest { path: FALLBACK, ..asked }),
        }
    }

    #[inline]
    fn send(&self, asked: PathRequest<'_>, document: &Document) -> Reply {
        self.observer.note("conditions", || explain::conditions(asked.request, document));
        if document.is_special() {
            return self.send_special(asked, document);
        }
        Reply::Ready(document::respond(asked.request, document, asked.now))
    }

    /// As [`FileService::send`], for a sibling in another encoding and for responses that depend on the origin.
    fn send_special(&self, asked: PathRequest<'_>, document: &Document) -> Reply {
        let original = match document.is_encoded() && is_ranged(asked.request) {
            true => self.original(asked).map(Some),
            false => Ok(None),
        };
        let rules = self.options.rules.as_deref();
        match original {
            Ok(original) => {
                document::respond_special(asked.request, document, original.as_ref(), rules, asked.now).into()
            }
            Err(instead) => self.send_instead(asked, instead),
        }
    }

    /// The original of the sibling that is sent for this path. It is opened each time: few clients request parts of a file
    /// that is small enough to have siblings.
    fn original(&self, asked: PathRequest<'_>) -> Result<Document, Instead> {
        let original = self.find(asked, Variant::Original)?;
        if !O::IS_ALONE && original.is_due() {
            // The response needs both documents, and keeps its own.
            return Err(self.tag(asked, self.find(asked, Variant::Accepted)?)?);
        }
        self.document(asked, original)
    }

    /// Adds the fields of the rules to a response without a file.
    pub(crate) fn complete(&self, request: &Request<'_>, response: &mut Response) {
        if let Some(rules) = &self.options.rules {
            let path = request.path().and_then(|path| normalise(path, Dotfiles::Serve).ok());
            let names = path.map(|path| path.names());
            rules.complete(request, names.as_ref(), response);
        }
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

impl<O: Observer> FileService<O> {
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

impl<O: Observer> Service for FileService<O> {
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply {
        self.respond(request, now)
    }
}

/// The path of the document of paths that do not exist, in the cache: a target has no spaces, so no request has it.
const FALLBACK: &[u8] = b" ";

/// The shortest time between two sweeps of the cache.
const LEAST_REST: Duration = Duration::from_secs(1);
