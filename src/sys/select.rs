//! select(2), the oldest way to wait for many descriptors. It is here for teaching: the first examples with a loop and
//! [`crate::asyncore::SimpleLoop`] use it, the server does not.
//!
//! Every call passes the kernel one bit for each descriptor number, and the kernel checks all of them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::{FdSetElement, FdSetIter, fd_set_insert, fd_set_num_elements};
use rustix::io::Errno;

use super::readiness::timespec;

/// How many descriptors a set has room for: the numbers 0 to 1023. For a larger one C's `FD_SET` writes past the end of the
/// set; here it is refused.
pub const FD_SETSIZE: RawFd = 1024;

/// Waits until one of `read` can be read, one of `write` can be written or one of `urgent` has urgent data, at most
/// `timeout`. Returns the numbers of those that are ready, as Python's `select.select` does; none after a signal, which ends
/// the wait early.
///
/// # Errors
/// As select(2); `InvalidInput` for a descriptor that is [`FD_SETSIZE`] or more.
pub fn select(
    read: &[BorrowedFd<'_>],
    write: &[BorrowedFd<'_>],
    urgent: &[BorrowedFd<'_>],
    timeout: Option<Duration>,
) -> io::Result<(Vec<RawFd>, Vec<RawFd>, Vec<RawFd>)> {
    let mut sets = [set_of(read)?, set_of(write)?, set_of(urgent)?];
    let all = [read, write, urgent].into_iter().flatten();
    let bound = all.map(|file| file.as_raw_fd() + 1).max().unwrap_or(0);
    let timeout = timeout.map(timespec);
    let [reads, writes, exceptions] = &mut sets;
    // SAFETY: every number in the sets comes from a borrowed descriptor, which is open while it is borrowed; `bound` is
    // at most FD_SETSIZE, and each set has that many bits.
    let result = unsafe {
        rustix::event::select(bound, Some(reads), Some(writes), Some(exceptions), timeout.as_ref())
    };
    match result {
        Err(Errno::INTR) => return Ok(Default::default()),
        result => result?,
    };
    let [reads, writes, exceptions] = sets.map(|set| FdSetIter::new(&set).collect());
    Ok((reads, writes, exceptions))
}

/// Checks that select(2) can wait for `file`.
///
/// # Errors
/// `InvalidInput`, with a message, when its number is too large.
pub fn check(file: BorrowedFd<'_>) -> io::Result<()> {
    let number = file.as_raw_fd();
    if number < FD_SETSIZE {
        return Ok(());
    }
    let line = format!("descriptor {number} is too large for select, which has room for 0 to 1023");
    Err(io::Error::new(io::ErrorKind::InvalidInput, line))
}

fn set_of(files: &[BorrowedFd<'_>]) -> io::Result<Vec<FdSetElement>> {
    let mut set = vec![FdSetElement::default(); fd_set_num_elements(files.len(), FD_SETSIZE)];
    for file in files {
        check(*file)?;
        fd_set_insert(&mut set, file.as_raw_fd());
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn large_descriptors_are_refused_with_a_plain_message() {
        let (here, _there) = UnixStream::pair().expect("a pair");
        // Any free number will do; with a low limit of descriptors there is none that is large enough.
        let Ok(large) = rustix::io::fcntl_dupfd_cloexec(&here, FD_SETSIZE) else {
            return println!("not run: no descriptor may be as large as {FD_SETSIZE}");
        };
        let error = select(&[large.as_fd()], &[], &[], Some(Duration::ZERO)).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().ends_with("is too large for select, which has room for 0 to 1023"));
        let error = select(&[], &[large.as_fd()], &[], Some(Duration::ZERO)).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
