//! Which file is the page of a path: the index of a directory (`--index`), `about.html` for `/about` (`--clean-urls`), and
//! the document of paths that do not exist (`--spa`).
//!
//! A path may have several candidates. Those that come before the file that is served are looked up as well, so that the
//! cache notices when one of them appears.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::error_page::ErrorFile;
use super::path::{INDEX, ResolvedPath, WELL_KNOWN};
use super::root::{File, Lookup, OpenOutcome, Root};

/// The suffix that `--clean-urls` leaves out of a URL.
const HTML: &str = ".html";

/// Which files are pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOptions {
    /// The names of a directory's own document, the first one first; at least one, without slashes.
    pub index: Vec<String>,
    /// Whether `NAME.html` is served at `NAME`.
    pub clean_urls: bool,
    /// The file that a browser gets for a path that does not exist.
    pub fallback: Option<ResolvedPath>,
    /// The operator's own pages for errors.
    pub errors: Vec<ErrorFile>,
}

impl Default for PageOptions {
    fn default() -> Self {
        Self { index: vec![INDEX.into()], clean_urls: false, fallback: None, errors: Vec::new() }
    }
}

/// What a path of a request leads to.
#[derive(Debug)]
pub(super) enum FoundPage {
    File(PageFile),
    /// A directory, without a slash at the end of the path.
    Directory,
}

/// The file of a path.
#[derive(Debug)]
pub(super) struct PageFile {
    /// Relative to the root.
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Candidates that come before it and are not there, or are no files.
    pub(super) before: Vec<Lookup>,
}

impl PageOptions {
    /// Opens the file of a path, or the index of a directory.
    pub(super) fn find(&self, root: &Root, path: &ResolvedPath) -> io::Result<FoundPage> {
        if path.as_directory {
            return self.find_index(root, &path.relative).map(FoundPage::File);
        }
        if self.clean_urls {
            return find_clean(root, &path.relative);
        }
        Ok(match root.open_beneath(&path.relative)? {
            OpenOutcome::Directory => FoundPage::Directory,
            OpenOutcome::File(file) => page(path.relative.clone(), file, Vec::new()),
        })
    }

    /// Opens the first index that exists. One that exists and cannot be read is an error, as for any other file.
    fn find_index(&self, root: &Root, directory: &Path) -> io::Result<PageFile> {
        let mut before = Vec::new();
        for (at, name) in self.index.iter().enumerate() {
            let path = directory.join(name);
            let is_last = at + 1 == self.index.len();
            // Before the open: what appears between the two is then seen as a change.
            let looked_up = (!is_last).then(|| root.lookup(&path));
            match root.open_beneath(&path) {
                Ok(OpenOutcome::File(file)) => return Ok(PageFile { path, file, before }),
                Ok(OpenOutcome::Directory) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            before.extend(looked_up);
        }
        Err(Errno::NOENT.into())
    }

    /// Whether `/about/` should be `/about`: there is an `about.html`, and no index in a directory `about`.
    pub(super) fn has_page_beside(&self, root: &Root, path: &ResolvedPath) -> bool {
        let is_page = |html: PathBuf| matches!(root.open_beneath(&html), Ok(OpenOutcome::File(_)));
        self.clean_urls && path.as_directory && html_of(&path.relative).is_some_and(is_page)
    }
}

/// Opens the file at `path`, or else `path.html`, which also comes before a directory: site generators write `docs.html`
/// beside a directory `docs` with the pages below it.
fn find_clean(root: &Root, path: &Path) -> io::Result<FoundPage> {
    let looked_up = root.lookup(path);
    let opened = match root.open_beneath(path) {
        Ok(OpenOutcome::File(file)) => return Ok(page(path.into(), file, Vec::new())),
        Ok(OpenOutcome::Directory) => Ok(FoundPage::Directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(error) => return Err(error),
    };
    let Some(html) = html_of(path) else {
        return opened;
    };
    match root.open_beneath(&html) {
        Ok(OpenOutcome::File(file)) => Ok(page(html, file, vec![looked_up])),
        Ok(OpenOutcome::Directory) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => opened,
        // The name with the suffix is too long for the file system, and the one without it is not.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NAMETOOLONG) => opened,
        Err(error) => Err(error),
    }
}

fn page(path: PathBuf, file: File, before: Vec<Lookup>) -> FoundPage {
    FoundPage::File(PageFile { path, file, before })
}

/// The page that a path leaves the suffix of out; `None` for the root, and for the only hidden name that is shown: with the
/// suffix it is another one.
fn html_of(path: &Path) -> Option<PathBuf> {
    path.file_name().filter(|_| path.as_os_str().as_bytes() != WELL_KNOWN)?;
    let mut name = OsString::from(path);
    name.push(HTML);
    Some(name.into())
}

/// Whether nothing is at the path of a failed open, and nothing is refused there: a path that the pages of an
/// application may have for themselves.
pub(super) fn is_free(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG))
}
