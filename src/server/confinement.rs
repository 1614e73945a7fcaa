//! What a worker gives up before it serves: the rights of who started it, and the rest of the file system.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use log::{debug, warn};
use rustix::fs::{Access, AtFlags, Mode, OFlags};

use crate::sys::account::Identity;
use crate::sys::{rights, sandbox, seccomp};

/// Whether workers put themselves into a jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jail {
    /// They do not.
    Off,
    /// As far as the kernel knows how.
    #[default]
    BestEffort,
    /// All of it, or there is no worker.
    Required,
}

/// Made by the master, entered by each worker.
#[derive(Debug)]
pub struct Confinement {
    identity: Option<Identity>,
    jail: Jail,
    /// Where logs lie that a worker may open anew after they were rotated.
    logs: Vec<OwnedFd>,
}

impl Confinement {
    /// For workers that become `identity`, if it is another, and serve `root`, which is canonical.
    ///
    /// A worker may make and write files in the folders of `logs`, so that it can open a rotated log anew. That
    /// must not let it write what it serves: where the folder and the root are one inside the other it may not.
    #[must_use]
    pub fn new<'a>(
        identity: Option<Identity>,
        jail: Jail,
        root: &Path,
        logs: impl Iterator<Item = &'a Path>,
    ) -> Self {
        let logs = logs.filter_map(|log| {
            let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
            if folder.starts_with(root) || root.starts_with(&folder) {
                debug!("workers cannot open {} anew: its folder is too near to the root", log.display());
                return None;
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(&folder, flags, Mode::empty()).ok()
        });
        Self { identity, jail, logs: logs.collect() }
    }

    /// Gives up what the worker does not need, in the worker, once everything is open. `root` is the directory
    /// that it serves; it is known by its inode from here on, whatever it is renamed to.
    ///
    /// # Errors
    /// As [`rights::give_up`]; when the root cannot be entered any more; as [`sandbox::enter`] and
    /// [`seccomp::refuse`] if the jail is required. A worker must not serve then.
    pub fn enter(self, root: BorrowedFd<'_>) -> io::Result<()> {
        let explain = |what: &'static str| move |error| io::Error::other(format!("{what}: {error}"));
        rights::give_up(self.identity).map_err(explain("cannot give up its rights"))?;
        rustix::fs::accessat(root, ".", Access::EXEC_OK, AtFlags::empty())
            .map_err(|error| explain("without its rights it may not enter the root")(error.into()))?;
        if self.jail == Jail::Off {
            return Ok(());
        }
        let logs: Vec<BorrowedFd<'_>> = self.logs.iter().map(std::os::fd::AsFd::as_fd).collect();
        self.jailed("cannot enter its jail", sandbox::enter(root, &logs))?;
        self.jailed("cannot let go of system calls", seccomp::refuse())
    }

    /// What a kernel does not know is no error where the best effort is asked for.
    fn jailed(&self, what: &str, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if self.jail == Jail::Required => Err(io::Error::other(format!("{what}: {error}"))),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            Err(error) => {
                warn!("a worker {what}, and serves all the same: {error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}
