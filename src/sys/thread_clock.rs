//! What a thread did with its time: on a processor, or ready to run and without one.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// The clocks of the thread that has made it.
#[derive(Debug)]
pub struct ThreadClock {
    /// Linux: `/proc/thread-self/schedstat`, whose second number is the run delay (proc_pid_schedstat(5)).
    schedstat: Option<File>,
}

impl ThreadClock {
    /// The clocks of this thread. Open them before a sandbox is entered.
    #[must_use]
    pub fn open() -> Self {
        Self { schedstat: File::open("/proc/thread-self/schedstat").ok() }
    }

    /// Nanoseconds on a processor so far.
    #[must_use]
    pub fn on_processor(&self) -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // Not through rustix, which looks for a faster way at the first call, in files that a sandbox hides.
        // SAFETY: the pointer is to a timespec of this function.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
        seconds.unwrap_or_default().saturating_mul(1_000_000_000) + nanos.unwrap_or_default()
    }

    /// Nanoseconds that the thread was ready to run and had no processor; `None` where the system does not say.
    #[must_use]
    pub fn run_delay(&self) -> Option<u64> {
        let mut text = [0; 64];
        let count = self.schedstat.as_ref()?.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text[..count]).ok()?.split_whitespace().nth(1)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_on_a_processor() {
        let clock = ThreadClock::open();
        let begin = clock.on_processor();
        while clock.on_processor() - begin < 2_000_000 {}
        if cfg!(target_os = "linux") {
            let delay = clock.run_delay().expect("a run delay");
            assert!(clock.run_delay().expect("a run delay") >= delay);
        }
    }
}
