//! Users and groups by name, read from the files of passwd(5) and group(5).
//!
//! `getpwnam(3)` would load the libraries that nsswitch.conf(5) names into the master, and these may use the network.
//! A user of no file can be given by number, which needs no file.

use std::fs;
use std::io;

/// The user and group that a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

/// The id of a user, given by name or id, and the id of the user's primary group if the file has it.
///
/// # Errors
/// As open(2) and read(2) on `/etc/passwd` for a name; `NotFound` when there is no such user.
pub fn user(name: &str) -> io::Result<(u32, Option<u32>)> {
    if let Some(uid) = number(name) {
        // An id is valid without the file.
        let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let known = fields(&text, |line| line.get(2) == Some(&name));
        return Ok((uid, known.and_then(|line| line.get(3)?.parse().ok())));
    }
    let text = fs::read_to_string("/etc/passwd")?;
    let line = fields(&text, |line| line[0] == name);
    let ids = line.and_then(|line| Some((line.get(2)?.parse().ok()?, line.get(3)?.parse().ok())));
    ids.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such user"))
}

/// The id of a group, given by name or id.
///
/// # Errors
/// As open(2) and read(2) on `/etc/group` for a name; `NotFound` when there is no such group.
pub fn group(name: &str) -> io::Result<u32> {
    if let Some(gid) = number(name) {
        return Ok(gid);
    }
    let text = fs::read_to_string("/etc/group")?;
    let line = fields(&text, |line| line[0] == name);
    let gid = line.and_then(|line| line.get(2)?.parse().ok());
    gid.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such group"))
}

/// Parses an id. The highest number is -1, which means "no change" to setresuid(2) and is no id.
fn number(name: &str) -> Option<u32> {
    name.parse().ok().filter(|number| *number != u32::MAX)
}

/// The fields of the first line that `matches`; at least one.
fn fields(text: &str, matches: impl Fn(&[&str]) -> bool) -> Option<Vec<&str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|line| matches(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(user("root").expect("root"), (0, Some(0)));
        assert_eq!(user("0").expect("root"), (0, Some(0)));
        assert_eq!(user("4000000000").expect("a number"), (4_000_000_000, None));
        assert_eq!(group("root").expect("root"), 0);
        assert_eq!(group("77").expect("a number"), 77);
        for error in [
            user("no such user").map(|_| ()),
            group("no such group").map(|_| ()),
            user("").map(|_| ()),
            user("4294967295").map(|_| ()),
            group("4294967295").map(|_| ()),
        ] {
            assert_eq!(error.expect_err("no such name").kind(), io::ErrorKind::NotFound);
        }
    }
}
