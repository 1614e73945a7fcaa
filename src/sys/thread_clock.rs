//! What a thread did with its time: on a processor, or ready to run and without one.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::clocks;

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
        clocks::thread()
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
