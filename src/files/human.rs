//! Sizes, times and counts for people.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A size with up to four digits: `123 B`, `4.5 KiB`, `678 MiB`.
pub(super) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // The largest unit of which there is at least one: 2^10 per step.
    let step = (63 - bytes.leading_zeros()) / 10;
    let unit = UNITS[step as usize - 1];
    let tenths = (u128::from(bytes) * 10) >> (10 * step);
    if tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
}

/// A time in UTC: `1994-11-06 08:49`.
pub(super) fn human_time(time: SystemTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    /// The last second of the year 9999: httpdate has four digits for a year.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let date = httpdate::fmt_http_date(time.min(UNIX_EPOCH + LAST));
    // Sun, 06 Nov 1994 08:49:37 GMT
    let (day, month, year, clock) = (&date[5..7], &date[8..11], &date[12..16], &date[17..22]);
    let month = MONTHS.find(month).unwrap_or_default() / 3 + 1;
    format!("{year}-{month:02}-{day} {clock}")
}

/// A number up to a million with a comma after the thousands.
pub(super) struct Thousands(pub(super) usize);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{}", self.0),
            count => write!(f, "{},{:03}", count / 1_000, count % 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, want) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024 - 1, "9.9 KiB"),
            (10 * 1024, "10 KiB"),
            ((1 << 20) - 1, "1023 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(human_size(bytes), want, "{bytes}");
            assert!(want.len() <= 8, "the width of the cell");
        }
    }

    #[test]
    fn times() {
        let time = |seconds| human_time(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(time(784_111_777), "1994-11-06 08:49");
        assert_eq!(time(0), "1970-01-01 00:00");
        assert_eq!(time(u64::from(u32::MAX) << 8), "9999-12-31 23:59");
    }

    #[test]
    fn numbers() {
        for (number, want) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (10_000, "10,000"), (12_034, "12,034")]
        {
            assert_eq!(Thousands(number).to_string(), want);
        }
    }
}
