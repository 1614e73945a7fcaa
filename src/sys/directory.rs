//! Reading a directory: its names, and the type of each as far as the directory itself tells it.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, fstat, statat};
use rustix::io::Errno;

use super::descriptor::{Metadata, duplicate, metadata_of};

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

/// Calls `each` with the names in `directory` (getdents(2)), in its own order and without `.` and `..`, until there are
/// no more or `each` breaks. Fails with `ENOENT` if the directory was removed after it was opened.
pub fn read_names(
    directory: BorrowedFd<'_>,
    mut each: impl FnMut(&OsStr, NameKind) -> ControlFlow<()>,
) -> io::Result<()> {
    // rustix reports the kernel's ENOENT as the end of the directory.
    if fstat(directory)?.st_nlink == 0 {
        return Err(Errno::NOENT.into());
    }
    for entry in Dir::new(duplicate(directory)?)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::RegularFile => NameKind::Regular,
            FileType::Directory => NameKind::Directory,
            FileType::Symlink | FileType::Unknown => NameKind::Unclear,
            _ => NameKind::Other,
        };
        if each(OsStr::from_bytes(name), kind).is_break() {
            break;
        }
    }
    Ok(())
}

/// `fstatat(2)` of a name in `directory`; a symlink is not followed, and is [`super::descriptor::FileKind::Other`].
pub fn metadata_at(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<Metadata> {
    Ok(metadata_of(&statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor::FileKind;
    use std::os::fd::AsFd;

    #[test]
    fn names_and_kinds() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("folder")).expect("a folder");
        std::fs::write(folder.path().join("file"), "12345").expect("a file");
        std::os::unix::fs::symlink("file", folder.path().join("link")).expect("a link");
        let directory = std::fs::File::open(folder.path()).expect("the folder");
        let mut found = Vec::new();
        read_names(directory.as_fd(), |name, kind| {
            found.push((name.to_str().expect("UTF-8").to_string(), kind));
            ControlFlow::Continue(())
        })
        .expect("names");
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let found: Vec<_> = found.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let want =
            [("file", NameKind::Regular), ("folder", NameKind::Directory), ("link", NameKind::Unclear)];
        assert_eq!(found, want);
        let metadata = |name| metadata_at(directory.as_fd(), OsStr::new(name)).expect("metadata");
        assert_eq!((metadata("file").kind, metadata("file").size), (FileKind::Regular, 5));
        assert_eq!(metadata("link").kind, FileKind::Other, "not followed");
        let mut count = 0;
        let directory = std::fs::File::open(folder.path()).expect("the folder, from its start");
        read_names(directory.as_fd(), |_, _| {
            count += 1;
            if count == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("names");
        assert_eq!(count, 2, "the rest is not read");
    }

    #[test]
    fn a_directory_that_was_removed_is_missing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let directory = std::fs::File::open(folder.path()).expect("the folder");
        std::fs::remove_dir(folder.path()).expect("remove");
        let error = read_names(directory.as_fd(), |_, _| ControlFlow::Continue(())).expect_err("it is gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
