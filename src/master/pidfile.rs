//! A file that says which process the master is.
//!
//! It is written beside its place under a name of its own, locked (fcntl(2)), and put into its place when the server
//! serves; so it is never there half, and never names a server that cannot be talked to. The lock goes with the
//! process, however it ends: a file without a lock is stale and is replaced, one with a lock means that another
//! server runs. Only the process that has put it there takes it away.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use log::warn;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::sys::descriptor;
use crate::sys::process::{self, Pid};

/// What is put behind its name while a successor has taken the place.
const ASIDE: &str = ".oldbin";

/// How often putting it into its place is tried: others that start at the same time may be in the way.
const TRIES: u32 = 10;

/// The file of this process.
#[derive(Debug)]
pub(super) struct PidFile {
    /// Where it belongs.
    path: PathBuf,
    /// Where it stands.
    here: PathBuf,
    /// Holds the lock for as long as this process lives.
    file: OwnedFd,
    /// A worker has a copy of all this, and no right to it.
    owner: Pid,
}

impl PidFile {
    /// Makes the file, and sees whether its place is free.
    ///
    /// # Errors
    /// A line that says what is wrong: the place is another server's, or cannot be written.
    pub(super) fn prepare(path: &Path) -> io::Result<Self> {
        let owner = process::current();
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{owner}"));
        let here = path.with_file_name(name);
        // What is there has been left by a process of this number that is gone.
        let _ = fs::remove_file(&here);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&here, flags, Mode::from_raw_mode(0o644))?;
        let this = Self { path: path.into(), here, file, owner };
        rustix::fs::fcntl_lock(&this.file, FlockOperation::NonBlockingLockExclusive)?;
        rustix::io::write(&this.file, format!("{owner}\n").as_bytes())?;
        lock_stale(path)?;
        Ok(this)
    }

    /// Puts it into its place.
    ///
    /// # Errors
    /// As [`PidFile::prepare`].
    pub(super) fn publish(&mut self) -> io::Result<()> {
        for _ in 0..TRIES {
            match fs::hard_link(&self.here, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Ok(()) => {
                    fs::remove_file(&self.here)?;
                    self.here.clone_from(&self.path);
                    return Ok(());
                }
                result => return result,
            }
            // While we hold the lock of the stale one, nobody else replaces it.
            if let Some(stale) = lock_stale(&self.path)?
                && is_at(&stale, &self.path)
            {
                fs::rename(&self.here, &self.path)?;
                self.here.clone_from(&self.path);
                return Ok(());
            }
        }
        Err(io::Error::other("others take its place again and again"))
    }

    /// Leaves the place to a successor.
    ///
    /// # Errors
    /// As rename(2).
    pub(super) fn step_aside(&mut self) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(ASIDE);
        self.go_to(name.into())
    }

    /// Takes the place again, from a successor that has failed.
    ///
    /// # Errors
    /// As rename(2).
    pub(super) fn step_back(&mut self) -> io::Result<()> {
        self.go_to(self.path.clone())
    }

    fn go_to(&mut self, to: PathBuf) -> io::Result<()> {
        if self.here != to && is_at(&self.file, &self.here) {
            fs::rename(&self.here, &to)?;
            self.here = to;
        }
        Ok(())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.owner == process::current()
            && is_at(&self.file, &self.here)
            && let Err(error) = fs::remove_file(&self.here)
        {
            warn!("the pid file {} cannot be removed: {error}", self.here.display());
        }
    }
}

/// Locks the file that stands at `path`, if there is one: nobody holds it any more.
///
/// # Errors
/// When somebody does, with who it is.
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

/// Whether it is this very file that stands at `path`.
fn is_at(file: &OwnedFd, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(ours), Ok(there)) = (descriptor::metadata(file.as_fd()), fs::symlink_metadata(path)) else {
        return false;
    };
    (ours.device, ours.inode) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_when_it_is_published_and_gone_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pid");
        fs::write(&path, "4000000\n").expect("a stale one");
        let mut pidfile = PidFile::prepare(&path).expect("a file");
        assert_eq!(fs::read_to_string(&path).expect("the stale one"), "4000000\n");
        pidfile.publish().expect("its place");
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
    fn what_another_has_put_there_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pid");
        let mut pidfile = PidFile::prepare(&path).expect("a file");
        pidfile.publish().expect("its place");
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, "another's").expect("a file");
        pidfile.step_aside().expect("nothing to do");
        drop(pidfile);
        assert_eq!(fs::read_to_string(&path).expect("a file"), "another's");
    }
}
