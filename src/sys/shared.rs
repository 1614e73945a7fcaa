//! Memory that a process shares with those that it forks.

use std::io;
use std::ptr;
use std::slice;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// `count` words, all zero, that this process and every one that is forked from it later see alike. No file stands
/// behind them, and pages that nobody touches cost nothing. They last as long as the process: make them once.
///
/// # Errors
/// As mmap(2): no memory.
pub fn words(count: usize) -> io::Result<&'static [AtomicU64]> {
    let bytes = count.max(1) * size_of::<AtomicU64>();
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, at an address that the kernel chooses, touches no memory of ours.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::SHARED)? };
    // SAFETY: the mapping begins a page, is as long as that, and is never taken away; it is all zero, which is a
    // value of an atomic; and it is touched through atomics only, by whatever process.
    Ok(unsafe { slice::from_raw_parts(start.cast(), count) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn they_are_zero_and_can_be_written() {
        let words = words(1000).expect("memory");
        assert!(words.len() == 1000 && words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
        words[999].store(7, Ordering::Relaxed);
        assert_eq!(words[999].load(Ordering::Relaxed), 7);
    }
}
