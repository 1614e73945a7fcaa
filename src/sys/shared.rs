//! Memory that a process shares with its children.

use std::io;
use std::ptr;
use std::slice;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// Maps `count` zero words with mmap(2), which this process and its later children share. No file belongs to them,
/// pages that are never touched cost nothing, and they last until the process ends: make them once.
pub fn words(count: usize) -> io::Result<&'static [AtomicU64]> {
    let bytes = count.max(1) * size_of::<AtomicU64>();
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, at an address that the kernel chooses, touches no memory in use.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::SHARED)? };
    // SAFETY: the mapping begins at a page, is `bytes` long, and is never unmapped; it is all zero, which is a value of
    // an atomic; and every process touches it through atomics only.
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
