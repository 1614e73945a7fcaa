//! For how long each thread of a pool has been in the application without output: the figure behind `--timeout`.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Instant;

thread_local! {
    /// The activity that this thread belongs to, and its number there. Unset on the loop.
    static THIS_THREAD: OnceCell<(Arc<ThreadActivity>, usize)> = const { OnceCell::new() };
}

/// The activity of the threads of a pool.
#[derive(Debug)]
pub(super) struct ThreadActivity {
    start: Instant,
    /// When each thread last called the application or received output from it, in milliseconds after `start`; 0
    /// while the thread is not in the application.
    since: Vec<AtomicU64>,
}

impl ThreadActivity {
    pub(super) fn of_threads(count: usize) -> Self {
        Self { start: Instant::now(), since: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(super) fn threads(&self) -> usize {
        self.since.len()
    }

    /// Registers this thread under `number`, for [`note_progress`], [`leave`] and [`pause`].
    pub(super) fn register(self: &Arc<Self>, number: usize) {
        THIS_THREAD.with(|this| _ = this.set((Arc::clone(self), number)));
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// If every thread is in the application: the time since the last output of any of them.
    pub(super) fn stuck_for(&self) -> Option<Duration> {
        let now = self.now();
        let latest = self.since.iter().map(|since| match since.load(Ordering::Relaxed) {
            0 => now,
            since => since,
        });
        let since = latest.max().filter(|since| *since < now)?;
        Some(Duration::from_millis(now - since))
    }

    /// Waits until no thread is in the application, at most for `longest`: threads whose client is gone find that out,
    /// and close what the application returned.
    pub(super) fn wait_until_idle(&self, longest: Duration) {
        let start = Instant::now();
        // Threads that waited for a client do not count as busy. The first sleep gives them time to go on.
        loop {
            std::thread::sleep(Duration::from_millis(1));
            let is_busy = self.since.iter().any(|since| since.load(Ordering::Relaxed) != 0);
            if !is_busy || start.elapsed() >= longest {
                return;
            }
        }
    }
}

/// Sets the time since which this thread is in the application. Returns the value before.
fn set(time: impl FnOnce(&ThreadActivity) -> u64) -> u64 {
    THIS_THREAD.with(|this| {
        this.get().map_or(0, |(all, number)| all.since[*number].swap(time(all), Ordering::Relaxed))
    })
}

/// Notes that this thread calls the application, or has received output from it.
pub(super) fn note_progress() {
    set(ThreadActivity::now);
}

/// Notes that this thread is not in the application any more.
pub(super) fn leave() {
    set(|_| 0);
}

/// Runs `wait`, which waits for a client. The application is not to blame for that time.
pub(super) fn pause<T>(wait: impl FnOnce() -> T) -> T {
    let before = set(|_| 0);
    let result = wait();
    set(|_| before);
    result
}
