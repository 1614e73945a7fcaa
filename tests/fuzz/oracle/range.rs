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
    assert!((1..=1024).contains(&parts.len()), "{} parts", parts.len());
    let mut sum = 0;
    for part in parts {
        assert!(part.first <= part.last && part.last < size, "{part} of {size}");
        assert_eq!(u128::from(part.len()), u128::from(part.last) - u128::from(part.first) + 1);
        sum += u128::from(part.len());
    }
    assert!(sum <= u128::from(size), "{sum} bytes of {size}");
    let mut in_order = parts.clone();
    in_order.sort_by_key(|part| part.first);
    assert!(in_order.windows(2).all(|two| two[0].last + 1 < two[1].first), "parts that touch: {parts:?}");
    let ranges: Vec<_> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(parse_range(format!("bytes={}", ranges.join(",")).as_bytes(), size), outcome);
}

/// Reads a `Range` as RFC 9110 §14 and RULES C14, C15 say, with the simplest means.
fn read_again(value: &str, size: u64) -> RangeOutcome {
    let Some((unit, set)) = value.split_once('=') else {
        return RangeOutcome::Whole;
    };
    let specs: Vec<&str> =
        set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty()).collect();
    let Some(requested) = specs.iter().map(|spec| requested(spec)).collect::<Option<Vec<_>>>() else {
        return RangeOutcome::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") || !(1..=1024).contains(&specs.len()) || size == 0 {
        return RangeOutcome::Whole;
    }
    let ranges = requested.into_iter().filter_map(|requested| match requested {
        (None, 0) => None,
        (None, suffix) => Some((size.saturating_sub(suffix), size - 1)),
        (Some(first), last) => (first < size).then_some((first, last.min(size - 1))),
    });
    let ranges: Vec<_> = ranges.map(|(first, last)| ByteRange { first, last }).collect();
    let sum: u128 = ranges.iter().map(|range| u128::from(range.last - range.first) + 1).sum();
    match ranges[..] {
        _ if sum > u128::from(size) => RangeOutcome::Whole,
        [] => RangeOutcome::Unsatisfiable,
        _ => RangeOutcome::Parts(merge_again(ranges)),
    }
}

/// Merges, as long as there are any, two ranges that overlap or touch.
fn merge_again(mut ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let touch = |one: &ByteRange, other: &ByteRange| {
        let gap = |left: &ByteRange, right: &ByteRange| u128::from(left.last) + 1 < u128::from(right.first);
        !gap(one, other) && !gap(other, one)
    };
    let pairs = |ranges: &[ByteRange]| {
        (0..ranges.len())
            .flat_map(|one| (one + 1..ranges.len()).map(move |other| (one, other)))
            .find(|(one, other)| touch(&ranges[*one], &ranges[*other]))
    };
    while let Some((one, other)) = pairs(&ranges) {
        let ByteRange { first, last } = ranges.remove(other);
        let earlier = &mut ranges[one];
        *earlier = ByteRange { first: earlier.first.min(first), last: earlier.last.max(last) };
    }
    ranges
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
