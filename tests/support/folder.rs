//! A temporary folder to serve.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[derive(Debug)]
pub struct Folder {
    place: tempfile::TempDir,
}

impl Folder {
    /// Where Linux has a file system in memory.
    pub const MEMORY: &'static str = "/dev/shm";

    /// Creates `root/` with the files of the corpus (`/`, `/ok`, `/sub/`, `/big`), and `secret` beside it.
    pub fn new() -> Self {
        Self::at(tempfile::tempdir().expect("a temporary folder"))
    }

    /// As [`Folder::new`], on another file system if there is one in memory.
    pub fn in_memory() -> Self {
        tempfile::tempdir_in(Self::MEMORY).map_or_else(|_| Self::new(), Self::at)
    }

    fn at(place: tempfile::TempDir) -> Self {
        let folder = Self { place };
        fs::create_dir_all(folder.root().join("sub")).expect("folders");
        fs::write(folder.place.path().join("secret"), SECRET).expect("secret");
        folder.write("index.html", "<html>index</html>");
        folder.write("ok", "hello\n");
        folder.write("sub/index.html", "<html>sub</html>");
        folder.write("big", vec![b'x'; 100_000]);
        folder
    }

    pub fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Writes a file that looks an hour old, as most served files are older than a test.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::write(&path, content).expect("a file");
        age(&fs::File::options().write(true).open(path).expect("the file"));
    }

    /// Creates a sparse file of this size, which takes no space.
    pub fn write_sparse(&self, name: impl AsRef<Path>, size: u64) {
        let file = fs::File::create(self.root().join(name)).expect("a file");
        file.set_len(size).expect("a size");
        age(&file);
    }
}

fn age(file: &fs::File) {
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("a time");
}

/// The content of a file outside of the root, which must never be sent.
pub const SECRET: &str = "the secret beside the root";
