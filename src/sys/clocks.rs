//! Clocks, read with one call each (clock_gettime(2)).
//!
//! Not through std, whose `Instant` is made of two numbers that every use takes apart, and not through rustix, which looks for
//! a faster way at the first call, in files that a sandbox hides.

/// std's clock of the same name: on Apple's systems the one that stands still while the machine sleeps.
#[cfg(target_vendor = "apple")]
const MONOTONIC: libc::clockid_t = libc::CLOCK_UPTIME_RAW;
#[cfg(not(target_vendor = "apple"))]
const MONOTONIC: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// Nanoseconds on the clock that never goes back, since a moment that all processes of this machine share.
#[must_use]
pub fn monotonic() -> u64 {
    read(MONOTONIC)
}

/// Nanoseconds that this thread was on a processor.
#[must_use]
pub fn thread() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[allow(clippy::cast_sign_loss, reason = "these clocks count from a beginning, and have no times before it")]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of this function.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// Each reading of std's lies between two of ours, however long the machine takes for them.
    #[test]
    fn it_is_the_clock_of_std() {
        let (before, std, after) = (monotonic(), Instant::now(), monotonic());
        std::thread::sleep(Duration::from_millis(20));
        let (later, passed, latest) = (monotonic(), std.elapsed(), monotonic());
        let shortest = Duration::from_nanos(later - after);
        let longest = Duration::from_nanos(latest - before);
        assert!(passed >= shortest && passed <= longest, "{shortest:?} {passed:?} {longest:?}");
    }
}
