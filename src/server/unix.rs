//! Listening sockets in the file system: made where a stale one may lie, removed at the end.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::warn;
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Mode, OFlags};

use crate::sys::process::{self, Pid};
use crate::sys::socket;

/// How often another process that makes a socket in the same folder is waited for, and how long each time.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The file of a listening socket. The process that owns it removes it when this is dropped, if it is still the same
/// one; a forked child does not.
///
/// One process made it. When another takes the socket over, the file is owned by both for a moment, and then by the
/// new one: whoever has to give up leaves it to the other.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// The numbers of its file system and inode.
    identity: (u64, u64),
    /// Who removes it at the end.
    owner: Cell<Option<Pid>>,
    /// The rights that it was given, if that was done by this process.
    mode: Cell<Option<u32>>,
}

impl SocketFile {
    /// The file of a socket that another process has made, and owns until [`SocketFile::own`]; `None` if there is
    /// no socket.
    pub(super) fn of_another(path: &Path) -> Option<Self> {
        let identity = is_socket(path).ok()?.then(|| identity(path).ok())??;
        Some(Self { path: path.into(), identity, owner: Cell::new(None), mode: Cell::new(None) })
    }

    /// Whether it is what lies at `path`.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        identity(path).ok() == Some(self.identity)
    }

    /// This process owns it from now on. It is given the rights `mode` if it was given others before; whatever
    /// somebody else has seen to meanwhile stays.
    pub(super) fn own(&self, mode: u32) {
        self.owner.set(Some(process::current()));
        let before = self.mode.replace(Some(mode));
        if before.is_some_and(|before| before != mode) && self.is_at(&self.path) {
            let rights = std::fs::Permissions::from_mode(mode);
            if let Err(error) = std::fs::set_permissions(&self.path, rights) {
                warn!("unix:{} keeps its rights: {error}", self.path.display());
            }
        }
    }

    /// Another process owns it from now on.
    pub(super) fn leave(&self) {
        self.owner.set(None);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.owner.get() == Some(process::current()) && self.is_at(&self.path) {
            // Gone already, or in a folder that may not be written any more: then it is stale from now on.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens on `path`, with `mode` as the rights of the file. A socket file that nobody answers on is replaced;
/// whatever else lies there is left alone.
///
/// # Errors
/// A line that says what is in the way.
pub(super) fn bind(path: &Path, mode: u32, backlog: i32) -> Result<(UnixListener, SocketFile), String> {
    // Two servers that start at once would each take the other's new file for a stale one.
    let _lock = lock(&folder(path));
    make_way(path)?;
    let listener = socket::listen_unix(path, mode, backlog).map_err(|error| error.to_string())?;
    let identity = identity(path).map_err(|error| error.to_string())?;
    let (owner, mode) = (Cell::new(Some(process::current())), Cell::new(Some(mode)));
    Ok((listener, SocketFile { path: path.into(), identity, owner, mode }))
}

/// Whether [`bind`] could make a socket here, as far as can be told without making one, or asking whether
/// somebody answers.
///
/// # Errors
/// A line that says what is in the way.
pub(super) fn check(path: &Path) -> Result<(), String> {
    socket::check_unix_path(path).map_err(|error| error.to_string())?;
    is_socket(path)?;
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    let allowed = rustix::fs::accessat(CWD, folder(path), rights, AtFlags::EACCESS);
    allowed.map_err(|error| format!("its folder: {}", io::Error::from(error)))
}

/// Removes a socket that nobody answers on.
fn make_way(path: &Path) -> Result<(), String> {
    if !is_socket(path)? {
        return Ok(());
    }
    match socket::is_answered(path) {
        Ok(true) => Err("already in use: somebody answers there".into()),
        Ok(false) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("the stale socket that lies there cannot be removed: {error}"))
            }
            _ => Ok(()),
        },
        Err(error) => Err(format!("there is a socket, and whether it is in use cannot be told: {error}")),
    }
}

/// Whether a socket lies there; anything else that does is an error.
fn is_socket(path: &Path) -> Result<bool, String> {
    match std::fs::symlink_metadata(path) {
        Ok(facts) if facts.file_type().is_socket() => Ok(true),
        Ok(_) => Err("something lies there that is no socket; it is left alone".into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let facts = std::fs::symlink_metadata(path)?;
    Ok((facts.dev(), facts.ino()))
}

fn folder(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).into()
}

/// Holds the folder, as far as that can be had; it is let go when the descriptor is closed. A folder that may
/// not be read cannot be locked, and one that a stranger has locked is not waited for longer than a second.
fn lock(folder: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty()).ok()?;
    for _ in 0..LOCK_TRIES {
        if rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Some(folder);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_removed_by_who_made_it_and_only_if_it_is_still_his() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("socket");
        let (_listener, file) = bind(&path, 0o600, 16).expect("a socket");
        assert_eq!(std::fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
        // Another server has taken the name over.
        std::fs::rename(&path, place.path().join("old")).expect("rename");
        let other = bind(&path, 0o666, 16).expect("a socket");
        drop(file);
        assert!(path.exists(), "it is not his any more");
        assert!(bind(&path, 0o666, 16).expect_err("in use").contains("already in use"));
        drop(other);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_goes_with_its_last_owner() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("socket");
        let rights = || std::fs::metadata(&path).expect("a file").mode() & 0o777;
        let (_listener, first) = bind(&path, 0o600, 16).expect("a socket");
        let heir = SocketFile::of_another(&path).expect("a socket");
        assert!(heir.is_at(&path) && !heir.is_at(place.path()));
        // An heir who gives up before he has begun.
        drop(SocketFile::of_another(&path));
        assert!(path.exists());
        heir.own(0o666);
        assert_eq!(rights(), 0o600, "what is handed over stays as it is");
        heir.own(0o640);
        assert_eq!(rights(), 0o640);
        first.leave();
        drop(first);
        assert!(path.exists());
        drop(heir);
        assert!(!path.exists() && SocketFile::of_another(&path).is_none());
    }

    #[test]
    fn what_lies_there_decides() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("socket");
        drop(UnixListener::bind(&path).expect("a socket"));
        check(&path).expect("a stale socket is in nobody's way");
        let (listener, file) = bind(&path, 0o666, 16).expect("a stale socket is replaced");
        check(&path).expect("whether somebody answers is not asked");
        drop((listener, file));
        for name in ["file", "folder"] {
            let path = place.path().join(name);
            if name == "file" {
                std::fs::write(&path, "dear").expect("a file");
            } else {
                std::fs::create_dir(&path).expect("a folder");
            }
            assert!(check(&path).expect_err("no socket").contains("left alone"));
            assert!(bind(&path, 0o666, 16).expect_err("no socket").contains("left alone"));
            assert!(path.exists());
        }
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert!(bind(&link, 0o666, 16).expect_err("no socket").contains("left alone"));
    }
}
