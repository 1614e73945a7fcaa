//! What must hold for every `Range` and every path (see `crate::fuzzing`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use percent_encoding::percent_encode;

use super::path::{Dotfiles, ENCODED, PathError, ResolvedPath, normalise};
use super::range;

/// What must hold for any `Range` and a file of any size: the first eight bytes are the size.
pub fn range(data: &[u8]) {
    let (size, value) = match data.split_first_chunk::<8>() {
        Some((size, value)) => (u64::from_le_bytes(*size), value),
        None => (100, data),
    };
    for size in [size, 0, 1, 100, u64::MAX] {
        check_range(value, size);
    }
}

fn check_range(value: &[u8], size: u64) {
    let outcome = range::parse(value, size);
    let range::RangeOutcome::Parts(parts) = &outcome else {
        return;
    };
    assert!((1..=64).contains(&parts.len()), "{} parts", parts.len());
    let mut sum = 0;
    for part in parts {
        assert!(part.first <= part.last && part.last < size, "{part} of {size}");
        assert_eq!(u128::from(part.len()), u128::from(part.last) - u128::from(part.first) + 1);
        sum += u128::from(part.len());
    }
    assert!(sum <= u128::from(size), "{sum} bytes of {size}");
    let specs = value[6..].split(|byte| *byte == b',');
    let requested: Vec<_> = specs.filter_map(|spec| requested(spec, size)).collect();
    let served: Vec<_> = parts.iter().map(|part| (part.first.into(), part.last.into())).collect();
    assert_eq!(served, requested, "not the requested ranges");
    let ranges: Vec<_> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(range::parse(format!("bytes={}", ranges.join(",")).as_bytes(), size), outcome);
}

/// The bytes that one part of a valid `Range` requests, in numbers of more than 64 bits.
fn requested(spec: &[u8], size: u64) -> Option<(u128, u128)> {
    let spec = std::str::from_utf8(spec).expect("ASCII").trim_matches([' ', '\t']);
    if spec.is_empty() {
        return None;
    }
    let (first, last) = spec.split_once('-').expect("a dash");
    // A number that a u128 cannot hold is larger than any file.
    let number = |digits: &str| digits.parse::<u128>().unwrap_or(u128::MAX);
    let size = u128::from(size);
    let (first, last) = match (first, last) {
        ("", suffix) => (size - number(suffix).min(size), size.checked_sub(1)?),
        (first, "") => (number(first), size.checked_sub(1)?),
        (first, last) => (number(first), number(last).min(size.checked_sub(1)?)),
    };
    (first <= last).then_some((first, last))
}

/// What must hold for any path of a target.
pub fn path(data: &[u8]) {
    if let Ok(path) = normalise(data, Dotfiles::Hide) {
        check_path(&path);
        let target = path.url() + if path.as_directory { "/" } else { "" };
        assert!(!target.starts_with("//"), "another host: {target}");
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
    assert!(!bytes.iter().any(u8::is_ascii_control), "{path:?}");
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
    let name = path.name();
    assert!(!name.is_empty() && Path::new(name).components().count() == 1, "{name:?}");
}

/// A name of any bytes is the same after it is encoded and decoded once.
fn check_name(name: &[u8]) {
    let target = format!("/{}", percent_encode(name, ENCODED));
    let want = match name {
        _ if name.iter().any(|byte| *byte == b'/' || byte.is_ascii_control()) => Err(PathError::Malformed),
        b"" | b"." => Ok((OsStr::new(""), true)),
        b".." => Err(PathError::Malformed),
        b".well-known" => Ok((OsStr::from_bytes(name), false)),
        [b'.', ..] => Err(PathError::Hidden),
        _ => Ok((OsStr::from_bytes(name), false)),
    };
    let path = normalise(target.as_bytes(), Dotfiles::Hide);
    let got = path.as_ref().map(|path| (path.relative.as_os_str(), path.as_directory));
    assert_eq!(got, want.as_ref().map(|want| *want), "{target}");
}
