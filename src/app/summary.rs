//! The line at the end of a server on a terminal: what it has served.

use std::time::Duration;

use crate::status::ServedTotals;

/// The line, with its end.
pub(super) fn line(totals: &ServedTotals, time: Duration) -> String {
    let [.., client, server] = totals.responses;
    let requests = count(totals.responses.iter().sum(), "request");
    let kinds = [(client, "client error", "4xx"), (server, "server error", "5xx")];
    let errors = kinds.iter().filter(|(number, ..)| *number > 0);
    let errors: Vec<String> =
        errors.map(|(number, noun, class)| format!("{} ({class})", count(*number, noun))).collect();
    let errors = if errors.is_empty() { "no errors".into() } else { errors.join(", ") };
    format!("  served   {requests} and {} in {}: {errors}\n", size(totals.bytes), duration(time))
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `1 byte`, `1.4 KiB`: three digits.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut name = None;
    for unit in units {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        name = Some(unit);
    }
    match name {
        None => count(bytes, "byte"),
        Some(unit) if value < 9.95 => format!("{value:.1} {unit}"),
        Some(unit) => format!("{value:.0} {unit}"),
    }
}

/// The two largest units.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        for (bytes, want) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0 KiB"),
            (10_240, "10 KiB"),
            (1_048_575, "1.0 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), want);
        }
        for (seconds, want) in [(59, "59 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(duration(Duration::from_secs(seconds)), want);
        }
    }

    #[test]
    fn errors_are_counted_apart() {
        let line = |responses| line(&ServedTotals { responses, bytes: 5 }, Duration::from_secs(2));
        assert_eq!(line([0; 5]), "  served   0 requests and 5 bytes in 2 s: no errors\n");
        assert_eq!(line([0, 1, 0, 0, 0]), "  served   1 request and 5 bytes in 2 s: no errors\n");
        assert_eq!(
            line([0, 1, 2, 3, 0]),
            "  served   6 requests and 5 bytes in 2 s: 3 client errors (4xx)\n"
        );
        let both =
            "  served   10 requests and 5 bytes in 2 s: 3 client errors (4xx), 4 server errors (5xx)\n";
        assert_eq!(line([0, 1, 2, 3, 4]), both);
    }
}
