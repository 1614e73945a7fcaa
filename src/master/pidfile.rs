//! The pid file: the process id of the master, in a file.
//!
//! The file is written under a temporary name in the same directory, locked (fcntl(2)), and renamed when the server
//! serves, so it is always complete and always names a server that serves. The lock ends with the process, however it
//! ends: a file without a lock is stale and is replaced, a file with a lock means that another server runs. Only the
//! process that has made the file removes it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use log::warn;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::sys::descriptor;
use crate::sys::process::{self, Pid};

/// The suffix of the old server's file while a successor uses the path.
const ASIDE: &str = ".oldbin";

/// How often publishing is tried: servers that start at the same time may be in the way.
const TRIES: u32 = 10;

/// The file of this process.
#[derive(Debug)]
pub(super) struct PidFile {
    /// The path that the configuration names.
    path: PathBuf,
    /// The path that the file has now.
    here: PathBuf,
    /// Holds the lock for as long as this process lives.
    file: OwnedFd,
    /// The master: a worker has a copy of this value, and must not remove the file.
    owner: Pid,
}

impl PidFile {
    /// Makes the file under its temporary name, and checks that no server holds `path`.
    ///
    /// # Errors
    /// A line that says what is wrong: the file is another server's, or cannot be written.
    pub(super) fn prepare(path: &Path) -> io::Result<Self> {
        let owner = process::current();
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{owner}"));
        let here = path.with_file_name(name);
        // A file of this name is left from an earlier process with the same id.
        let _ = fs::remove_file(&here);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&here, flags, Mode::from_raw_mode(0o644))?;
        let this = Self { path: path.into(), here, file, owner };
        rustix::fs::fcntl_lock(&this.file, FlockOperation::NonBlockingLockExclusive)?;
        rustix::io::write(&this.file, format!("{owner}\n").as_bytes())?;
        lock_stale(path)?;
        Ok(this)
    }

    /// Moves the file to its path. Errors are those of [`PidFile::prepare`].
    pub(super) fn publish(&mut self) -> io::Result<()> {
        for _ in 0..TRIES {
            match fs::hard_link(&self.here, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Ok(()) => {
                    let temporary = std::mem::replace(&mut self.here, self.path.clone());
                    if let Err(error) = fs::remove_file(&temporary) {
                        warn!("the file {} cannot be removed: {error}", temporary.display());
                    }
                    return Ok(());
                }
                result => return result,
            }
            // While this process holds the lock of the stale file, no other one replaces it.
            if let Some(stale) = lock_stale(&self.path)?
                && is_at(&stale, &self.path)?
            {
                fs::rename(&self.here, &self.path)?;
                self.here.clone_from(&self.path);
                return Ok(());
            }
        }
        Err(io::Error::other("other servers replace it again and again"))
    }

    /// Renames the file, so that a successor can use the path.
    pub(super) fn step_aside(&mut self) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(ASIDE);
        self.move_to(name.into())
    }

    /// Renames the file back after a successor has failed.
    pub(super) fn step_back(&mut self) -> io::Result<()> {
        self.move_to(self.path.clone())
    }

    fn move_to(&mut self, to: PathBuf) -> io::Result<()> {
        if self.here != to && is_at(&self.file, &self.here)? {
            fs::rename(&self.here, &to)?;
            self.here = to;
        }
        Ok(())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.owner != process::current() {
            return;
        }
        let removed = match is_at(&self.file, &self.here) {
            Ok(true) => fs::remove_file(&self.here),
            result => result.map(drop),
        };
        if let Err(error) = removed {
            warn!("the pid file {} cannot be removed: {error}", self.here.display());
        }
    }
}

/// Opens and locks a stale file at `path`, if there is one. Fails if a process holds the lock, and names it.
fn lock_stale(path: &Path) -> io::Result<Option<OwnedFd>> {
    let file = match rustix::fs::open(path, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    {
        Err(Errno::NOENT) => return Ok(None),
        file => file?,
    };
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => {
            let pid = fs::read_to_string(path).unwrap_or_default();
            Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("process {} runs already", pid.trim())))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether `path` leads to this open file.
fn is_at(file: &OwnedFd, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = descriptor::metadata(file.as_fd())?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((ours.device, ours.inode) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_appears_when_it_is_published_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pid");
        fs::write(&path, "4000000\n").expect("a stale one");
        let mut pidfile = PidFile::prepare(&path).expect("a file");
        assert_eq!(fs::read_to_string(&path).expect("the stale one"), "4000000\n");
        pidfile.publish().expect("published");
        assert_eq!(fs::read_to_string(&path).expect("ours"), format!("{}\n", process::current()));
        pidfile.step_aside().expect("a rename");
        let aside = folder.path().join("pid.oldbin");
        assert!(!path.exists() && aside.exists());
        pidfile.step_back().expect("a rename");
        assert!(path.exists() && !aside.exists());
        drop(pidfile);
        assert_eq!(fs::read_dir(folder.path()).expect("a list").count(), 0);
    }

    #[test]
    fn the_file_of_another_server_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pid");
        let mut pidfile = PidFile::prepare(&path).expect("a file");
        pidfile.publish().expect("published");
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, "another's").expect("a file");
        pidfile.step_aside().expect("nothing to do");
        drop(pidfile);
        assert_eq!(fs::read_to_string(&path).expect("a file"), "another's");
    }
}
