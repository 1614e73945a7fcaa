//! Users and groups by name: passwd(5) and group(5), read as the files that they are.
//!
//! `getpwnam(3)` would load whatever libraries nsswitch.conf(5) names into the master, and talk to whom they
//! like. Who is in no file has a number all the same, and a number is taken as it is.

use std::fs;
use std::io;

/// What a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// The number of a user, given by name or number, and that of his first group if the file knows him.
///
/// # Errors
/// As open(2) and read(2) on `/etc/passwd`, if it is a name; `NotFound` when nobody has it.
pub fn user(name: &str) -> io::Result<(u32, Option<u32>)> {
    if let Some(uid) = number(name) {
        // Without the file a number is still a number.
        let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let known = fields(&text, |line| line.get(2) == Some(&name));
        return Ok((uid, known.and_then(|line| line.get(3)?.parse().ok())));
    }
    let text = fs::read_to_string("/etc/passwd")?;
    let line = fields(&text, |line| line[0] == name);
    let ids = line.and_then(|line| Some((line.get(2)?.parse().ok()?, line.get(3)?.parse().ok())));
    ids.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such user"))
}

/// The number of a group, given by name or number.
///
/// # Errors
/// As open(2) and read(2) on `/etc/group`, if it is a name; `NotFound` when none has it.
pub fn group(name: &str) -> io::Result<u32> {
    if let Some(gid) = number(name) {
        return Ok(gid);
    }
    let text = fs::read_to_string("/etc/group")?;
    let line = fields(&text, |line| line[0] == name);
    let gid = line.and_then(|line| line.get(2)?.parse().ok());
    gid.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such group"))
}

/// -1, which is the last number here, means "stay who you are" to setresuid(2): nobody has it.
fn number(name: &str) -> Option<u32> {
    name.parse().ok().filter(|number| *number != u32::MAX)
}

/// The fields of the first line that is wanted. A line has one field at the least.
fn fields(text: &str, wanted: impl Fn(&[&str]) -> bool) -> Option<Vec<&str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|line| wanted(line))
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
            assert_eq!(error.expect_err("nobody").kind(), io::ErrorKind::NotFound);
        }
    }
}
