//! The order of names: as a person would sort them.

use std::cmp::Ordering;

/// Compares names without case (of ASCII letters) and with numbers by their value: `a2` is before `A10`. Names that differ
/// in case or in leading zeros only are in the order of their bytes, so no two names are equal.
///
/// A number is a run of ASCII digits of any length. Names in one directory often have the same beginning, which is
/// skipped before any byte is folded.
pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    // A number that begins in the same part may end after it.
    let same = same - a[..same].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    compare_tokens(&a[same..], &b[same..]).then_with(|| a.cmp(b))
}

fn compare_tokens(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (Some(first), Some(second)) = (a.first(), b.first()) else {
            return a.len().cmp(&b.len());
        };
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            by_value(take_digits(&mut a), take_digits(&mut b))
        } else {
            let order = first.to_ascii_lowercase().cmp(&second.to_ascii_lowercase());
            (a, b) = (&a[1..], &b[1..]);
            order
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the digits at the front, and returns them without leading zeros.
fn take_digits<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let end = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at(end);
    *bytes = rest;
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

/// Compares numbers of any length: more digits are more.
fn by_value(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row is in order, strictly, from each name to every later one.
    #[test]
    fn names_are_in_order() {
        let long = |last: char| format!("{}{last}", "9".repeat(300));
        let (nines, less) = (long('9'), long('8'));
        let rows: [&[&str]; 10] = [
            &["a", "a1", "a2", "A10", "a10b", "a11", "b"],
            &["1", "2", "10", "11", "100", "a"],
            &["%", "1", "_", "a", "z", "м"],
            &["B", "b", "README", "readme", "Readme.txt"],
            // The same value: by bytes.
            &["a001", "a01", "a1", "a002", "a2"],
            &["0", "1", "00001x"],
            &["00", "000", "00a", "0a", "1"],
            &["x18446744073709551615", "x18446744073709551616", "x99999999999999999999999"],
            &["1.9.9", "1.10.0", "1.10.1", "2.0"],
            &["9", less.as_str(), nines.as_str()],
        ];
        for row in rows {
            for (at, first) in row.iter().enumerate() {
                for second in &row[at + 1..] {
                    let (first, second) = (first.as_bytes(), second.as_bytes());
                    assert_eq!(compare(first, second), Ordering::Less, "{row:?}");
                    assert_eq!(compare(second, first), Ordering::Greater, "{row:?}");
                }
                assert_eq!(compare(first.as_bytes(), first.as_bytes()), Ordering::Equal);
            }
        }
    }

    /// Sorting needs a total order: of any three names of a few bytes.
    #[test]
    fn the_order_is_transitive() {
        let bytes = *b"0a1A\xff.";
        let mut names: Vec<Vec<u8>> = vec![vec![]];
        for length in 0..3 {
            let longer: Vec<_> = names.iter().filter(|name| name.len() == length).cloned().collect();
            names
                .extend(longer.iter().flat_map(|name| bytes.map(|byte| [name.as_slice(), &[byte]].concat())));
        }
        names.sort_unstable_by(|a, b| compare(a, b));
        for (at, first) in names.iter().enumerate() {
            for second in &names[at + 1..] {
                assert_eq!(compare(first, second), Ordering::Less, "{first:?} {second:?}");
            }
        }
    }
}
