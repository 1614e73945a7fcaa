//! Listening Unix sockets: a stale file is replaced at the start, the own one is removed at the end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::warn;
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Mode, OFlags};

use crate::sys::process::{self, Pid};
use crate::sys::socket;

/// Tries to lock the folder while another process makes a socket there, and the pause between them.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The file of a listening socket. The owning process removes it on drop, if it is still the same file; a forked child
/// does not.
///
/// In an upgrade both processes own the file for a moment, and then the new one does: a process that gives up leaves it
/// to the other.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    ownership: Mutex<Ownership>,
}

#[derive(Debug, Default)]
struct Ownership {
    /// The process that removes the file at the end.
    owner: Option<Pid>,
    /// The permissions, if this process has set them.
    mode: Option<u32>,
}

impl SocketFile {
    /// The file of a socket that another process made, without an owner here until [`SocketFile::own`]; `None` if the
    /// path has no socket.
    pub(super) fn of_another(path: &Path) -> Option<Self> {
        let identity = is_socket(path).ok()?.then(|| identity(path).ok())??;
        Some(Self { path: path.into(), identity, ownership: Mutex::default() })
    }

    fn ownership(&self) -> MutexGuard<'_, Ownership> {
        self.ownership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this file is the one at `path`.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        identity(path).ok() == Some(self.identity)
    }

    /// Makes this process the owner. The permissions become `mode` if this process set others before; those that an
    /// operator has set stay.
    pub(super) fn own(&self, mode: u32) {
        let ours = Ownership { owner: Some(process::current()), mode: Some(mode) };
        let before = std::mem::replace(&mut *self.ownership(), ours).mode;
        if before.is_some_and(|before| before != mode) && self.is_at(&self.path) {
            let rights = std::fs::Permissions::from_mode(mode);
            if let Err(error) = std::fs::set_permissions(&self.path, rights) {
                warn!("unix:{} keeps its permissions: {error}", self.path.display());
            }
        }
    }

    /// Leaves the file to another process.
    pub(super) fn leave(&self) {
        self.ownership().owner = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.ownership().owner == Some(process::current()) && self.is_at(&self.path) {
            // If it cannot be removed, it is stale from now on, and the next start replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens on `path`; `mode` is the permissions of the file. A socket that no process accepts from is replaced; any
/// other file is left alone.
///
/// # Errors
/// Why it cannot, in one line.
pub(super) fn bind(path: &Path, mode: u32, backlog: i32) -> Result<(UnixListener, SocketFile), String> {
    // Without a lock, two servers that start together would each take the other's new file for a stale one.
    let _lock = lock(&folder(path));
    make_way(path)?;
    let listener = socket::listen_unix(path, mode, backlog).map_err(|error| error.to_string())?;
    let identity = identity(path).map_err(|error| error.to_string())?;
    let ownership = Mutex::new(Ownership { owner: Some(process::current()), mode: Some(mode) });
    Ok((listener, SocketFile { path: path.into(), identity, ownership }))
}

/// Checks whether [`bind`] could make a socket, without making one or connecting to one.
///
/// # Errors
/// Why it could not, in one line.
pub(super) fn check(path: &Path) -> Result<(), String> {
    socket::check_unix_path(path).map_err(|error| error.to_string())?;
    is_socket(path)?;
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    let allowed = rustix::fs::accessat(CWD, folder(path), rights, AtFlags::EACCESS);
    allowed.map_err(|error| format!("its folder: {}", io::Error::from(error)))
}

/// Removes a socket that no process accepts from.
fn make_way(path: &Path) -> Result<(), String> {
    if !is_socket(path)? {
        return Ok(());
    }
    match socket::is_answered(path) {
        Ok(true) => Err("already in use: a server accepts connections there".into()),
        Ok(false) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("the stale socket cannot be removed: {error}"))
            }
            _ => Ok(()),
        },
        Err(error) => Err(format!("there is a socket, and it is unknown whether it is in use: {error}")),
    }
}

/// Whether there is a socket at `path`; any other file is an error.
fn is_socket(path: &Path) -> Result<bool, String> {
    match std::fs::symlink_metadata(path) {
        Ok(facts) if facts.file_type().is_socket() => Ok(true),
        Ok(_) => Err("the path has a file that is not a socket; it is left alone".into()),
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

/// Locks the folder until the descriptor is closed. Without the right to read it there is no lock, and a lock of
/// another process is waited for at most a second.
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
    fn a_file_goes_with_its_last_owner() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("socket");
        let rights = || std::fs::metadata(&path).expect("a file").mode() & 0o777;
        let (_listener, first) = bind(&path, 0o600, 16).expect("a socket");
        let second = SocketFile::of_another(&path).expect("a socket");
        assert!(second.is_at(&path) && !second.is_at(place.path()));
        // A new process that fails before it is ready.
        drop(SocketFile::of_another(&path));
        assert!(path.exists());
        second.own(0o666);
        assert_eq!(rights(), 0o600, "an inherited file stays as it is");
        second.own(0o640);
        assert_eq!(rights(), 0o640);
        first.leave();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists() && SocketFile::of_another(&path).is_none());
    }
}
