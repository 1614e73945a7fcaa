//! The directory that is served, and opening files beneath it.
//!
//! The root is what has its path: a build that makes the directory again, or a deployment that renames another one to
//! its name, is served at once. Opening goes through the descriptor of the directory and stays beneath it
//! (`sys::beneath`). *Looking* goes by the path from the root of the file system, so that one call shows every change:
//! of the file, of the directories and links on the way, and of the root itself.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::path::ResolvedPath;
use crate::sys::beneath::{self, Beneath, Symlinks};
use crate::sys::descriptor::{FileKind, Metadata, metadata, metadata_of_path};
use crate::sys::directory::NameReader;

/// The directory that is served. A clone is another view of the same directory.
#[derive(Clone, Debug)]
pub(super) struct Root {
    directory: RefCell<Arc<OwnedFd>>,
    /// Where the directory is; `None` if no path is known, or if this user may not look there.
    place: RefCell<Option<Place>>,
    symlinks: Symlinks,
    /// Whether this process can open nothing but what it was started with.
    is_confined: Cell<bool>,
    /// Whether another directory has the path of this one, and this process cannot open it.
    is_replaced: Cell<bool>,
}

/// The absolute path of the root: as it was given, and without the links on the way.
#[derive(Clone, Debug)]
struct Place {
    given: PathBuf,
    real: PathBuf,
}

/// What a path led to, and whether it leads there still: the same file, unchanged.
#[derive(Debug)]
pub(super) struct Lookup {
    path: CString,
    found: Option<Metadata>,
}

/// The file that a path leads to.
#[derive(Debug)]
pub(super) enum OpenOutcome {
    File(File),
    Directory,
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) file: OwnedFd,
    pub(super) metadata: Metadata,
    /// How it was found.
    pub(super) lookup: Lookup,
}

impl Root {
    /// Opens the root. Symlinks on the way to it are the operator's own and are always followed.
    pub(super) fn open(path: &Path, symlinks: Symlinks) -> io::Result<Self> {
        Ok(Self::of(beneath::open_root(path)?, Some(path), symlinks))
    }

    /// The root at an open directory: as long as it has the `path`, or for ever without one.
    pub(super) fn of(directory: OwnedFd, path: Option<&Path>, symlinks: Symlinks) -> Self {
        let place = path.and_then(|path| std::path::absolute(path).ok()).map(Place::of);
        Self {
            directory: RefCell::new(Arc::new(directory)),
            place: RefCell::new(place),
            symlinks,
            is_confined: Cell::new(false),
            is_replaced: Cell::new(false),
        }
    }

    pub(super) fn path(&self) -> Option<PathBuf> {
        self.place.borrow().as_ref().map(|place| place.given.clone())
    }

    pub(super) fn directory(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.directory.borrow())
    }

    /// Notes that this process can no longer open another directory.
    pub(super) fn confine(&self) {
        self.is_confined.set(true);
    }

    pub(super) fn is_confined(&self) -> bool {
        self.is_confined.get()
    }

    /// Whether another process, which can open the directory that is now at the path, should serve.
    pub(super) fn is_replaced(&self) -> bool {
        self.is_replaced.get()
    }

    /// Looks what is at `path`, without opening it.
    pub(super) fn lookup(&self, path: &Path) -> Lookup {
        let way = self.way_to(path);
        Lookup { found: self.look(&way).ok(), path: way }
    }

    /// Opens the file that has `suffix` after the name of the file at `path`, or returns where there is none.
    pub(super) fn sibling(&self, path: &Path, suffix: &str) -> Result<File, Lookup> {
        let mut name = path.as_os_str().to_os_string();
        name.push(suffix);
        let path = PathBuf::from(name);
        match self.open_beneath(&path) {
            Ok(OpenOutcome::File(file)) => Ok(file),
            _ => Err(Lookup { path: self.way_to(&path), found: None }),
        }
    }

    /// The symbolic links on the way to `path`, and their targets. Only `--explain` asks for them.
    pub(super) fn links(&self, path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.with_beneath(|beneath| beneath.links(path))
    }

    /// The permission bits of what is at `path`, and its owner.
    pub(super) fn rights(&self, path: &Path) -> io::Result<(u32, u32)> {
        self.with_beneath(|beneath| beneath.rights(&Path::new(".").join(path)))
    }

    /// Whether `path` is a directory.
    pub(super) fn is_folder(&self, path: &ResolvedPath) -> bool {
        self.with_beneath(|beneath| beneath.is_directory(&Path::new(".").join(&path.relative)))
    }

    /// The name beside the one of `path` that differs from it in upper and lower case only. It reads the directory, so only
    /// `--explain` asks for it.
    pub(super) fn similar(&self, path: &ResolvedPath) -> Option<Vec<u8>> {
        let wanted = path.relative.file_name()?;
        let folder = Path::new(".").join(path.relative.parent()?);
        let folder = self.with_beneath(|beneath| beneath.open(&folder)).ok()?;
        let mut names = NameReader::new(folder).ok()?;
        while let Some(found) = names.next_name().ok()? {
            if wanted != found.name() && wanted.eq_ignore_ascii_case(found.name()) {
                return Some(found.name().as_bytes().to_vec());
            }
        }
        None
    }

    /// Opens a directory to list it.
    pub(super) fn open_directory(&self, path: &ResolvedPath) -> io::Result<OwnedFd> {
        self.refresh();
        if let Err(error) = self.look(&self.way_to(&path.relative))
            && error.kind() == io::ErrorKind::NotFound
        {
            return Err(error);
        }
        // The path of the root itself is empty, and open(2) refuses an empty path.
        let directory = self.with_beneath(|beneath| beneath.open(&Path::new(".").join(&path.relative)))?;
        match metadata(directory.as_fd())?.kind {
            FileKind::Directory => Ok(directory),
            FileKind::Regular | FileKind::Other => Err(Errno::NOTDIR.into()),
        }
    }

    /// Opens `path` beneath the root.
    pub(super) fn open_beneath(&self, path: &Path) -> io::Result<OpenOutcome> {
        let mut way = self.way_to(path);
        let mut looked = self.look(&way);
        if matches!(&looked, Err(error) if error.kind() == io::ErrorKind::PermissionDenied) && self.refresh()
        {
            way = self.way_to(path);
            looked = self.look(&way);
        }
        let found = match looked {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            // A FIFO is not even opened: its writer would see a reader come and go (RULES B8).
            Ok(found) if found.kind == FileKind::Other => return Err(Errno::NOENT.into()),
            looked => looked.ok(),
        };
        let opened = self.open_at(path, way);
        let is_there = match (&found, &opened) {
            (Some(found), Ok(OpenOutcome::File(file))) => found.is_same_file(&file.metadata),
            (Some(found), Ok(OpenOutcome::Directory)) => found.kind == FileKind::Directory,
            _ => false,
        };
        if !is_there && self.refresh() {
            return self.open_at(path, self.way_to(path));
        }
        match opened {
            // The file is in the directory that has the path of the root now.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_replaced() => {
                Err(Errno::STALE.into())
            }
            opened => opened,
        }
    }

    /// Opens `path`, which [`Root::look`] reaches by `way`.
    fn open_at(&self, path: &Path, way: CString) -> io::Result<OpenOutcome> {
        let opened = self.with_beneath(|beneath| match beneath.open(path) {
            // The index of a directory may be readable even if the directory is not.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && beneath.is_directory(path) => {
                Ok(None)
            }
            file => file.map(Some),
        })?;
        let Some(file) = opened else {
            return Ok(OpenOutcome::Directory);
        };
        let metadata = metadata(file.as_fd())?;
        match metadata.kind {
            FileKind::Directory => Ok(OpenOutcome::Directory),
            // A FIFO, a socket or a device could block (RULES B8).
            FileKind::Other => Err(Errno::NOENT.into()),
            FileKind::Regular => {
                let lookup = Lookup { path: way, found: Some(metadata) };
                Ok(OpenOutcome::File(File { file, metadata, lookup }))
            }
        }
    }

    fn with_beneath<T>(&self, call: impl FnOnce(Beneath<'_>) -> T) -> T {
        let (directory, place) = (self.directory.borrow(), self.place.borrow());
        // Where absolute links may lead.
        let homes: Vec<&Path> =
            place.iter().flat_map(|place| [place.given.as_path(), place.real.as_path()]).collect();
        call(Beneath { root: directory.as_fd(), homes: &homes, symlinks: self.symlinks })
    }

    /// The path by which [`Root::look`] reaches `path`.
    fn way_to(&self, path: &Path) -> CString {
        let way = match &*self.place.borrow() {
            Some(place) if self.symlinks != Symlinks::Refuse => place.given.join(path),
            _ => Path::new(".").join(path),
        };
        // No name contains NUL: such a path is refused before.
        CString::new(way.as_os_str().as_bytes()).unwrap_or_default()
    }

    /// What is at `way` now. What a link on the way leads to is only compared, never served.
    fn look(&self, way: &CStr) -> io::Result<Metadata> {
        if self.symlinks == Symlinks::Refuse {
            self.refresh();
            return self.with_beneath(|beneath| beneath.look(way));
        }
        metadata_of_path(self.directory.borrow().as_fd(), way)
    }

    /// Whether the lookup would find the same, unchanged.
    pub(super) fn still_finds(&self, lookup: &Lookup) -> bool {
        self.look(&lookup.path).ok() == lookup.found
    }

    /// Compares the directory with the one at its path, and serves that one if it is another. Returns whether lookups
    /// begin elsewhere now.
    pub(super) fn refresh(&self) -> bool {
        let Some(Place { given, .. }) = self.place.borrow().clone() else {
            return false;
        };
        let directory = self.directory();
        let there = CString::new(given.as_os_str().as_bytes()).unwrap_or_default();
        match metadata_of_path(directory.as_fd(), &there) {
            Ok(there) if metadata(directory.as_fd()).is_ok_and(|here| here.is_same_file(&there)) => {
                self.is_replaced.set(false);
                false
            }
            Ok(there) if there.kind == FileKind::Directory && self.is_confined.get() => {
                self.is_replaced.set(true);
                false
            }
            Ok(_) => match beneath::open_root(&given) {
                Ok(new) => {
                    *self.directory.borrow_mut() = Arc::new(new);
                    *self.place.borrow_mut() = Some(Place::of(given));
                    true
                }
                Err(_) => false,
            },
            // This user may pass through the directory, but not through those above it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                *self.place.borrow_mut() = None;
                true
            }
            Err(_) => false,
        }
    }
}

impl Place {
    fn of(given: PathBuf) -> Self {
        let real = given.canonicalize().unwrap_or_else(|_| given.clone());
        Self { given, real }
    }
}
