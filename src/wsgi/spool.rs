//! The body of a request on its way to the application: in memory, or in a temporary file if it is long.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use crate::sys::process;

/// Bytes of a body that are kept in memory: waitress's figure.
const MAX_IN_MEMORY: usize = 512 * 1024;

/// A body, as far as it was received.
#[derive(Debug, Default)]
pub(super) struct Spool {
    bytes: Vec<u8>,
    file: Option<File>,
    length: u64,
}

/// A whole body.
#[derive(Debug)]
pub(super) enum SpooledBody<'a> {
    Bytes(&'a [u8]),
    File(File),
}

impl Spool {
    /// Empties the spool, and returns memory above 64 KiB to the allocator.
    pub(super) fn clear(&mut self) {
        self.file = None;
        self.length = 0;
        self.bytes.clear();
        self.bytes.shrink_to(64 * 1024);
    }

    /// Bytes received so far.
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// As open(2) and write(2), in the temporary folder.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        if let Some(file) = &mut self.file {
            return file.write_all(bytes);
        }
        if self.bytes.len() + bytes.len() <= MAX_IN_MEMORY {
            self.bytes.extend_from_slice(bytes);
            return Ok(());
        }
        let mut file = temporary()?;
        file.write_all(&self.bytes)?;
        file.write_all(bytes)?;
        self.bytes = Vec::new();
        self.file = Some(file);
        Ok(())
    }

    /// Returns the whole body; a file is at its beginning.
    ///
    /// # Errors
    /// As lseek(2).
    pub(super) fn take(&mut self) -> io::Result<SpooledBody<'_>> {
        match self.file.take() {
            Some(mut file) => {
                file.rewind()?;
                Ok(SpooledBody::File(file))
            }
            None => Ok(SpooledBody::Bytes(&self.bytes)),
        }
    }
}

/// Checks that a body of `longest` bytes has a folder.
///
/// # Errors
/// A line that says which folder cannot be written.
pub(super) fn check(longest: u64) -> Result<(), String> {
    if longest <= MAX_IN_MEMORY as u64 {
        return Ok(());
    }
    temporary().map(drop).map_err(|error| {
        let folder = std::env::temp_dir();
        let folder = folder.display();
        format!(
            "cannot keep request bodies above 512 KiB in {folder}: {error}; set TMPDIR to a folder for them"
        )
    })
}

/// Opens a temporary file without a name.
fn temporary() -> io::Result<File> {
    let folder = std::env::temp_dir();
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::open(&folder, flags, Mode::RUSR | Mode::WUSR) {
            return Ok(file.into());
        }
    }
    named(folder).map(Into::into)
}

/// The same without `O_TMPFILE`: a file that loses its name at once.
fn named(folder: PathBuf) -> io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = folder.join(format!("stheno-{}-{}", process::current(), process::monotonic_micros()));
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::unlink(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_long_body_goes_to_a_file_and_comes_back_whole() {
        for pieces in [1, 7, 8, 9, 40] {
            let mut spool = Spool::default();
            let mut want = Vec::new();
            for piece in 0..pieces {
                let bytes = vec![b'a' + piece; 65_536];
                spool.push(&bytes).expect("room");
                want.extend(bytes);
            }
            assert_eq!(spool.len(), want.len() as u64);
            let got = match spool.take().expect("a body") {
                SpooledBody::Bytes(bytes) => bytes.to_vec(),
                SpooledBody::File(mut file) => {
                    assert!(want.len() > MAX_IN_MEMORY);
                    let mut all = Vec::new();
                    file.read_to_end(&mut all).expect("all of it");
                    all
                }
            };
            assert!(got == want, "{pieces} pieces");
        }
    }

    #[test]
    fn a_file_without_o_tmpfile_has_no_name_either() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = File::from(named(folder.path().into()).expect("a file"));
        file.write_all(b"x").expect("write");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
