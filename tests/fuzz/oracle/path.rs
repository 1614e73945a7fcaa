//! The oracle of paths: the result only goes down, and is the same when it is sent back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Component;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use stheno::files::{Dotfiles, PathError, ResolvedPath, normalise};

/// What must hold for any path of a target.
pub(crate) fn path(data: &[u8]) {
    if let Ok(path) = normalise(data, Dotfiles::Hide) {
        check_path(&path);
        let encoded =
            path.segments().map(|segment| format!("/{}", percent_encode(segment, NON_ALPHANUMERIC)));
        let target = encoded.collect::<String>() + if path.as_directory { "/" } else { "" };
        assert_eq!(
            normalise(target.as_bytes(), Dotfiles::Hide),
            Ok(path),
            "another path when it is sent back"
        );
    }
    check_name(data);
}

/// A path only leads down.
fn check_path(path: &ResolvedPath) {
    let bytes = path.relative.as_os_str().as_bytes();
    assert!(!bytes.contains(&0), "{path:?}");
    assert!(!bytes.starts_with(b"/") && !bytes.ends_with(b"/"), "{path:?}");
    if bytes.is_empty() {
        assert!(path.as_directory, "the root is a directory");
        return;
    }
    for (at, name) in bytes.split(|byte| *byte == b'/').enumerate() {
        assert!(!name.is_empty(), "an empty name in {path:?}");
        assert!(!name.starts_with(b".") || at == 0 && name == b".well-known", "hidden: {path:?}");
    }
    assert!(path.relative.components().all(|component| matches!(component, Component::Normal(_))));
    assert_eq!(path.segments().collect::<Vec<_>>().join(&b'/'), bytes);
}

/// A name of any bytes is the same after it is encoded and decoded once; a slash in it is a separator.
fn check_name(name: &[u8]) {
    let target = format!("/{}", percent_encode(name, NON_ALPHANUMERIC));
    let path = normalise(target.as_bytes(), Dotfiles::Hide);
    let encoded_slashes = name.split(|byte| *byte == b'/').collect::<Vec<_>>().join(&b"%2f"[..]);
    if !name.contains(&b'%') {
        let with = |slashes: &[u8]| normalise(&[b"/", slashes].concat(), Dotfiles::Hide);
        assert_eq!(with(name), with(&encoded_slashes), "an encoded slash is a slash: {target}");
    }
    if name.contains(&b'/') {
        return;
    }
    let want = match name {
        _ if name.contains(&0) => Err(PathError::Malformed),
        b"" | b"." => Ok((OsStr::new(""), true)),
        b".." => Err(PathError::Malformed),
        b".well-known" => Ok((OsStr::from_bytes(name), false)),
        [b'.', ..] => Err(PathError::Hidden),
        _ => Ok((OsStr::from_bytes(name), false)),
    };
    let got = path.as_ref().map(|path| (path.relative.as_os_str(), path.as_directory));
    assert_eq!(got, want.as_ref().map(|want| *want), "{target}");
}
