//! Reading a directory: its names, and the type of each as far as the directory itself tells it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, DirEntry, FileType, fstat, statat};
use rustix::io::Errno;

use super::descriptor::{Metadata, metadata_of};

/// The type of a name, as its directory has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A FIFO, socket or device.
    Other,
    /// A symbolic link, or any name in a file system that keeps no types: it has to be opened.
    Unclear,
}

/// An open directory whose names are read piece by piece (getdents(2)).
///
/// A name that is added or removed while the directory is read may be there or not; every other name is there once
/// (POSIX, readdir).
#[derive(Debug)]
pub struct NameReader(Dir);

impl NameReader {
    /// A reader at the beginning of `directory`.
    ///
    /// # Errors
    /// As fdopendir(3).
    pub fn new(directory: OwnedFd) -> io::Result<Self> {
        Ok(Self(Dir::new(directory)?))
    }

    /// Returns the next name, in the order of the directory and without `.` and `..`; `None` after the last one.
    ///
    /// # Errors
    /// As getdents(2); `ENOENT` if the directory was removed, also after it was opened.
    pub fn next_name(&mut self) -> io::Result<Option<FoundName>> {
        while let Some(entry) = self.0.read() {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Ok(Some(FoundName(entry)));
            }
        }
        // rustix reports the kernel's ENOENT as the end of the directory.
        if fstat(self.0.fd()?)?.st_nlink == 0 {
            return Err(Errno::NOENT.into());
        }
        Ok(None)
    }

    /// `fstatat(2)` of a name in the directory; a symlink is not followed, and is
    /// [`super::descriptor::FileKind::Other`].
    ///
    /// # Errors
    /// As the call.
    pub fn metadata(&self, name: &OsStr) -> io::Result<Metadata> {
        Ok(metadata_of(&statat(self.0.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }
}

/// A name in a directory.
#[derive(Debug)]
pub struct FoundName(DirEntry);

impl FoundName {
    /// The name, without its directory.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.0.file_name().to_bytes())
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> NameKind {
        match self.0.file_type() {
            FileType::RegularFile => NameKind::Regular,
            FileType::Directory => NameKind::Directory,
            FileType::Symlink | FileType::Unknown => NameKind::Unclear,
            _ => NameKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor::FileKind;

    #[test]
    fn names_and_kinds() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("folder")).expect("a folder");
        std::fs::write(folder.path().join("file"), "12345").expect("a file");
        std::os::unix::fs::symlink("file", folder.path().join("link")).expect("a link");
        let directory = std::fs::File::open(folder.path()).expect("the folder");
        let mut names = NameReader::new(directory.into()).expect("a reader");
        let mut found = Vec::new();
        while let Some(entry) = names.next_name().expect("a name") {
            found.push((entry.name().to_str().expect("UTF-8").to_string(), entry.kind()));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let found: Vec<_> = found.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let want =
            [("file", NameKind::Regular), ("folder", NameKind::Directory), ("link", NameKind::Unclear)];
        assert_eq!(found, want);
        let metadata = |name| names.metadata(OsStr::new(name)).expect("metadata");
        assert_eq!((metadata("file").kind, metadata("file").size), (FileKind::Regular, 5));
        assert_eq!(metadata("link").kind, FileKind::Other, "not followed");
    }

    #[test]
    fn a_directory_that_was_removed_is_missing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let directory = std::fs::File::open(folder.path()).expect("the folder");
        let mut names = NameReader::new(directory.into()).expect("a reader");
        std::fs::remove_dir(folder.path()).expect("remove");
        let error = names.next_name().expect_err("it is gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
