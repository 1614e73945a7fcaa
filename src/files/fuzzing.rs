//! What must hold for every `Range` and every path (see `crate::fuzzing`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use percent_encoding::percent_encode;

use super::path::{Dotfiles, ENCODED, Refused, Wanted, normalise};
use super::range;

/// What must hold for any `Range`, of a file of any size: the first eight bytes are the size.
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
    let wanted = range::parse(value, size);
    let range::Wanted::Parts(parts) = &wanted else {
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
    let asked: Vec<_> = value[6..].split(|byte| *byte == b',').filter_map(|spec| asked(spec, size)).collect();
    let served: Vec<_> = parts.iter().map(|part| (part.first.into(), part.last.into())).collect();
    assert_eq!(served, asked, "not what was asked for");
    let ranges: Vec<_> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(range::parse(format!("bytes={}", ranges.join(",")).as_bytes(), size), wanted);
}

/// What one part of a valid `Range` asks for, in numbers that do not end at 64 bits.
fn asked(spec: &[u8], size: u64) -> Option<(u128, u128)> {
    let spec = std::str::from_utf8(spec).expect("ASCII").trim_matches([' ', '\t']);
    if spec.is_empty() {
        return None;
    }
    let (first, last) = spec.split_once('-').expect("a dash");
    // More digits than a u128 has are more than any file has, too.
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
    if let Ok(wanted) = normalise(data, Dotfiles::Hide) {
        check_wanted(&wanted);
        assert_eq!(
            normalise(&encode(&wanted), Dotfiles::Hide),
            Ok(wanted),
            "another path when it is sent back"
        );
    }
    check_name(data);
}

/// It goes down, and nowhere else.
fn check_wanted(wanted: &Wanted) {
    let bytes = wanted.relative.as_os_str().as_bytes();
    assert!(!bytes.iter().any(u8::is_ascii_control), "{wanted:?}");
    assert!(!bytes.starts_with(b"/") && !bytes.ends_with(b"/"), "{wanted:?}");
    if bytes.is_empty() {
        assert!(wanted.as_directory, "the root is a directory");
        return;
    }
    for (at, name) in bytes.split(|byte| *byte == b'/').enumerate() {
        assert!(!name.is_empty(), "an empty name in {wanted:?}");
        assert!(!name.starts_with(b".") || at == 0 && name == b".well-known", "hidden: {wanted:?}");
    }
    assert!(wanted.relative.components().all(|component| matches!(component, Component::Normal(_))));
    assert_eq!(wanted.segments().collect::<Vec<_>>().join(&b'/'), bytes);
    let name = wanted.name("index.html");
    assert!(!name.is_empty() && Path::new(&name).components().count() == 1, "{name:?}");
}

/// As a `Location` is made.
fn encode(wanted: &Wanted) -> Vec<u8> {
    let mut target = String::new();
    for segment in wanted.segments() {
        target.push('/');
        target.extend(percent_encode(segment, ENCODED));
    }
    assert!(!target.starts_with("//"), "another host: {target}");
    if wanted.as_directory {
        target.push('/');
    }
    target.into_bytes()
}

/// Any bytes are a name, if they are encoded once: they come out as they went in, decoded once.
fn check_name(name: &[u8]) {
    let target = format!("/{}", percent_encode(name, ENCODED));
    let want = match name {
        _ if name.iter().any(|byte| *byte == b'/' || byte.is_ascii_control()) => Err(Refused::Malformed),
        b"" | b"." => Ok((OsStr::new(""), true)),
        b".." => Err(Refused::Malformed),
        b".well-known" => Ok((OsStr::from_bytes(name), false)),
        [b'.', ..] => Err(Refused::Hidden),
        _ => Ok((OsStr::from_bytes(name), false)),
    };
    let wanted = normalise(target.as_bytes(), Dotfiles::Hide);
    let got = wanted.as_ref().map(|wanted| (wanted.relative.as_os_str(), wanted.as_directory));
    assert_eq!(got, want.as_ref().map(|want| *want), "{target}");
}
