//! Reading a directory: its names, and of what kind each is, as far as the directory itself can tell.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, fstat, statat};
use rustix::io::Errno;

use super::descriptor::{Facts, duplicate, facts_of};

/// What a directory says of a name in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A FIFO, socket or device.
    Other,
    /// A symbolic link, or a name of which this file system does not say what it is: it has to be opened.
    Unclear,
}

/// Calls `each` with the names in `directory`, in its own order and without `.` and `..`, until there are no
/// more or `each` breaks off: how long a directory is says nothing about how much of it is read.
///
/// # Errors
/// As getdents(2); `ENOENT` when the directory itself has been removed since it was opened.
pub fn read_names(
    directory: BorrowedFd<'_>,
    mut each: impl FnMut(&OsStr, Listed) -> ControlFlow<()>,
) -> io::Result<()> {
    // rustix takes the kernel's ENOENT for an end like any other.
    if fstat(directory)?.st_nlink == 0 {
        return Err(Errno::NOENT.into());
    }
    for entry in Dir::new(duplicate(directory)?)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let listed = match entry.file_type() {
            FileType::RegularFile => Listed::Regular,
            FileType::Directory => Listed::Directory,
            FileType::Symlink | FileType::Unknown => Listed::Unclear,
            _ => Listed::Other,
        };
        if each(OsStr::from_bytes(name), listed).is_break() {
            break;
        }
    }
    Ok(())
}

/// `fstatat(2)` of a name in `directory`; a symlink is not followed, and is [`super::descriptor::Kind::Other`].
///
/// # Errors
/// As fstatat(2).
pub fn facts_at(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<Facts> {
    Ok(facts_of(&statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor::Kind;
    use std::os::fd::AsFd;

    #[test]
    fn names_and_kinds() {
        let place = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(place.path().join("folder")).expect("a folder");
        std::fs::write(place.path().join("file"), "12345").expect("a file");
        std::os::unix::fs::symlink("file", place.path().join("link")).expect("a link");
        let directory = std::fs::File::open(place.path()).expect("the folder");
        let mut found = Vec::new();
        read_names(directory.as_fd(), |name, listed| {
            found.push((name.to_str().expect("UTF-8").to_string(), listed));
            ControlFlow::Continue(())
        })
        .expect("names");
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let found: Vec<_> = found.iter().map(|(name, listed)| (name.as_str(), *listed)).collect();
        let want = [("file", Listed::Regular), ("folder", Listed::Directory), ("link", Listed::Unclear)];
        assert_eq!(found, want);
        let facts = |name| facts_at(directory.as_fd(), OsStr::new(name)).expect("facts");
        assert_eq!((facts("file").kind, facts("file").size), (Kind::Regular, 5));
        assert_eq!(facts("link").kind, Kind::Other, "not followed");
    }

    #[test]
    fn reading_can_be_broken_off() {
        let place = tempfile::tempdir().expect("a temporary folder");
        for n in 0..100 {
            std::fs::write(place.path().join(n.to_string()), "").expect("a file");
        }
        let directory = std::fs::File::open(place.path()).expect("the folder");
        let mut count = 0;
        read_names(directory.as_fd(), |_, _| {
            count += 1;
            if count == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("names");
        assert_eq!(count, 7);
    }

    #[test]
    fn a_directory_that_was_removed_is_missing() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let directory = std::fs::File::open(place.path()).expect("the folder");
        std::fs::remove_dir(place.path()).expect("remove");
        let error = read_names(directory.as_fd(), |_, _| ControlFlow::Continue(())).expect_err("it is gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
