//! The oracle of ranges: the parts lie in the file, and are together at most as long.

use stheno::files::{RangeOutcome, parse_range};

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
    let specs = value[6..].split(|byte| *byte == b',');
    let requested: Vec<_> = specs.filter_map(|spec| requested(spec, size)).collect();
    let served: Vec<_> = parts.iter().map(|part| (part.first.into(), part.last.into())).collect();
    assert_eq!(served, requested, "not the requested ranges");
    let ranges: Vec<_> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(parse_range(format!("bytes={}", ranges.join(",")).as_bytes(), size), outcome);
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
