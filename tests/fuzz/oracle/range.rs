//! The oracle of ranges: the parts lie in the file, are together at most as long, and are the requested ones.

use stheno::files::{ByteRange, RangeOutcome, parse_range};

/// What must hold for any `Range` and a file of any size: the first eight bytes are the size.
pub(crate) fn range(data: &[u8]) {
    let (size, value) = match data.split_first_chunk::<8>() {
        Some((size, value)) => (u64::from_le_bytes(*size), value),
        None => (100, data),
    };
    for size in [size, 0, 1, 100, u64::MAX] {
        check_range(value, size);
    }
}

fn check_range(value: &[u8], size: u64) {
    let outcome = parse_range(value, size);
    assert_eq!(
        outcome,
        read_again(&String::from_utf8_lossy(value), size),
        "another reader reads other ranges"
    );
    let RangeOutcome::Parts(parts) = &outcome else {
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
    let ranges: Vec<_> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(parse_range(format!("bytes={}", ranges.join(",")).as_bytes(), size), outcome);
}

/// Reads a `Range` as RFC 9110 §14 and RULES C14, C15 say, with the simplest means.
fn read_again(value: &str, size: u64) -> RangeOutcome {
    let Some((unit, set)) = value.split_once('=') else {
        return RangeOutcome::Unsatisfiable;
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return RangeOutcome::Whole;
    }
    let specs = set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty());
    let mut parts = Vec::new();
    for (at, spec) in specs.enumerate() {
        match requested(spec) {
            _ if at == 64 => return RangeOutcome::Whole,
            None => return RangeOutcome::Unsatisfiable,
            Some((None, 0)) => {}
            Some((None, suffix)) => parts.push((size.saturating_sub(suffix), u64::MAX)),
            Some((Some(first), last)) => parts.push((first, last)),
        }
    }
    parts.retain(|(first, _)| *first < size);
    let parts: Vec<_> =
        parts.into_iter().map(|(first, last)| ByteRange { first, last: last.min(size - 1) }).collect();
    let sum: u128 = parts.iter().map(|part| u128::from(part.last - part.first) + 1).sum();
    match parts[..] {
        _ if sum > u128::from(size) => RangeOutcome::Whole,
        [] => RangeOutcome::Unsatisfiable,
        _ => RangeOutcome::Parts(parts),
    }
}

/// Returns the two numbers of one range, the first of which a suffix has not; `None` for a malformed range.
fn requested(spec: &str) -> Option<(Option<u64>, u64)> {
    let (first, last) = spec.split_once('-')?;
    // A number that a u64 cannot hold is larger than any file.
    let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Some(digits.parse().unwrap_or(u64::MAX)),
        false => None,
    };
    match (first, last) {
        ("", "") => None,
        ("", suffix) => Some((None, number(suffix)?)),
        (first, "") => Some((Some(number(first)?), u64::MAX)),
        (first, last) => Some((Some(number(first)?), number(last)?))
            .filter(|(first, last)| first.is_some_and(|first| first <= *last)),
    }
}
