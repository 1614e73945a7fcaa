//! The file of users: a line `NAME:HASH` for each, as htpasswd(1) writes it.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::basic::Credentials;
use super::crypt::Hash;
use crate::sys::beneath;

/// The size of a file that holds 10,000 users.
const MOST_BYTES: u64 = 1024 * 1024;

/// Permission for users who are neither the owner nor in the group.
const OTHERS_READ: u32 = 0o004;

/// The hash of credentials under a key that this server alone has: it identifies them, and tells nothing of them.
pub(super) type Tag = [u8; 32];

/// The users of a file.
#[derive(Clone, Debug)]
pub struct Users {
    numbers: HashMap<Vec<u8>, usize>,
    hashes: Vec<Hash>,
    key: Tag,
}

impl Users {
    /// Reads the file, and checks that neither other users of this machine nor clients, to whom `roots` are served, can
    /// read it.
    ///
    /// # Errors
    /// What is wrong, and how to mend it.
    pub fn read(path: &Path, roots: &[PathBuf]) -> Result<Self, String> {
        let shown = path.display();
        let unreadable = |error: io::Error| format!("cannot read {shown}: {error}");
        // Before it is opened: to open a pipe is to wait for its writer.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(format!("{shown} is not a file"));
        }
        let file = fs::File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.mode() & OTHERS_READ != 0 {
            return Err(format!("every user of this machine can read {shown}: chmod 640 {shown}"));
        }
        for root in roots {
            if beneath::contains(root, path).map_err(unreadable)? {
                return Err(format!(
                    "{shown} is inside of the directory that is served: move it out of there"
                ));
            }
        }
        let mut text = String::new();
        let size = file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if size as u64 > MOST_BYTES {
            return Err(format!("{shown} has more than {MOST_BYTES} bytes"));
        }
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let (mut numbers, mut hashes) = (HashMap::new(), Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let place = format!("{shown}:{number}");
            let entry = line.trim_end().split_once(':').filter(|(name, _)| !name.is_empty());
            let (name, rest) = entry.ok_or_else(|| {
                format!("{place}: this is no NAME:HASH; add a user with: htpasswd -B {shown} NAME")
            })?;
            let hash = rest.split(':').next().unwrap_or_default();
            let hash = Hash::parse(hash).map_err(|what| {
                format!(
                    "{place}: the password of {name:?} {what}; make another with: htpasswd -B {shown} {name}"
                )
            })?;
            if numbers.insert(name.as_bytes().to_vec(), hashes.len()).is_some() {
                return Err(format!("{place}: {name:?} is there twice: remove one of both"));
            }
            hashes.push(hash);
        }
        if hashes.is_empty() {
            return Err(format!("{shown} has no users: add one with htpasswd -B {shown} NAME"));
        }
        Ok(Self { numbers, hashes, key: random_key()? })
    }

    /// The tag of these credentials.
    pub(super) fn tag(&self, credentials: &Credentials) -> Tag {
        // No name has a colon.
        let hasher = Sha256::new().chain_update(self.key).chain_update(&credentials.user);
        hasher.chain_update(b":").chain_update(&credentials.password).finalize().into()
    }

    /// Whether there is such a user with such a password. An unknown user costs what one of the known ones costs,
    /// always the same one, so the time does not tell which names exist.
    pub(super) fn verify(&self, credentials: &Credentials) -> bool {
        let known = self.numbers.get(&credentials.user);
        let number = known.copied().unwrap_or_else(|| {
            let nameless = Credentials { password: Vec::new(), ..credentials.clone() };
            let [first, second, ..] = self.tag(&nameless);
            usize::from(u16::from_be_bytes([first, second])) % self.hashes.len()
        });
        self.hashes[number].verify(&credentials.password) && known.is_some()
    }
}

fn random_key() -> Result<Tag, String> {
    let mut key = Tag::default();
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key));
    read.map_err(|error| format!("the system has no random numbers: {error}"))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const A: &str = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";

    fn users(text: &str) -> Result<Users, String> {
        Users::parse(text, Path::new("users"))
    }

    fn of(user: &str, password: &str) -> Credentials {
        Credentials { user: user.into(), password: password.into() }
    }

    #[test]
    fn users_and_passwords() {
        let users =
            users(&format!("# a comment\n\nann:{A}\r\nbob:{A}:a comment\nžofie:{A}\n")).expect("users");
        for name in ["ann", "bob", "žofie"] {
            assert!(users.verify(&of(name, "a")), "{name}");
            assert!(!users.verify(&of(name, "b")), "{name}");
        }
        for name in ["", "Ann", "ann ", "# a comment", "nobody"] {
            assert!(!users.verify(&of(name, "a")), "{name}");
        }
        assert_ne!(users.tag(&of("ann", "a")), users.tag(&of("ann", "b")));
        assert_ne!(users.tag(&of("a", "nna")), users.tag(&of("ann", "a")));
    }

    #[test]
    fn mistakes_say_what_to_do() {
        for (text, says) in [
            ("", "users has no users: add one with htpasswd -B users NAME"),
            ("ann\n", "users:1: this is no NAME:HASH"),
            (":x\n", "users:1: this is no NAME:HASH"),
            (
                "\nann:$apr1$a$b\n",
                "users:2: the password of \"ann\" is in Apache's MD5 format, which is too weak; make",
            ),
            (
                "ann:secret\n",
                "is plain text, or in the old format of crypt; make another with: htpasswd -B users ann",
            ),
        ] {
            let line = users(text).expect_err(says);
            assert!(line.contains(says) && !line.contains("secret"), "{line}");
        }
        let twice = users(&format!("ann:{A}\nann:{A}\n")).expect_err("twice");
        assert!(twice.starts_with("users:2: \"ann\" is there twice"), "{twice}");
    }

    #[test]
    fn the_file_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, path) = (folder.path().join("root"), folder.path().join("users"));
        fs::create_dir(&root).expect("a root");
        let roots = [root.clone()];
        fs::write(&path, format!("ann:{A}\n")).expect("a file");
        let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        set(0o644);
        assert!(Users::read(&path, &roots).expect_err("readable").contains("chmod 640"));
        set(0o640);
        assert!(Users::read(&path, &roots).is_ok());
        assert!(Users::read(&path, &[folder.path().into()]).expect_err("inside").contains("move it out"));
        std::os::unix::fs::symlink(folder.path(), root.join("link")).expect("a link");
        let through = root.join("link/users");
        assert!(Users::read(&through, &roots).is_ok(), "the link leads out of the root");
        assert!(Users::read(&root, &roots).expect_err("a folder").contains("is not a file"));
        assert!(Users::read(Path::new("/nonexistent"), &roots).expect_err("none").starts_with("cannot read"));
    }
}
