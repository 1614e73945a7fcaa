//! select(2) and poll(2) behind one signature: a question about every descriptor, in every turn.
//!
//! Both give the same results. Their cost grows with the number of descriptors that are asked about, not with the number
//! that are ready: that is the lesson they are here for.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::sys::readiness::timespec;
use crate::sys::select;

/// What is asked about one descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollRequest<'a> {
    pub(super) file: BorrowedFd<'a>,
    pub(super) read: bool,
    pub(super) urgent: bool,
    pub(super) write: bool,
}

/// What the kernel says about one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PollResult {
    /// There is input, the end of file or an error.
    pub(super) readable: bool,
    /// There is room for output, or a write would return an error.
    pub(super) writable: bool,
    /// Urgent data has arrived (`POLLPRI`; select's third set).
    pub(super) exceptional: bool,
}

/// Waits with poll(2) until a descriptor is ready, at most `timeout`; returns one result for each request. A signal ends
/// the wait early, and then nothing is ready.
pub(super) fn poll(requests: &[PollRequest<'_>], timeout: Option<Duration>) -> io::Result<Vec<PollResult>> {
    let flags = |request: &PollRequest<'_>| {
        let wanted = [
            (request.read, PollFlags::IN),
            (request.urgent, PollFlags::PRI),
            (request.write, PollFlags::OUT),
        ];
        wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag).collect::<PollFlags>()
    };
    let mut files: Vec<_> =
        requests.iter().map(|request| PollFd::from_borrowed_fd(request.file, flags(request))).collect();
    match rustix::event::poll(&mut files, timeout.map(timespec).as_ref()) {
        Err(Errno::INTR) => return Ok(vec![PollResult::default(); requests.len()]),
        result => result?,
    };
    let over = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    let results = files.iter().map(PollFd::revents).zip(requests).map(|(found, request)| PollResult {
        readable: request.read && found.intersects(PollFlags::IN | over),
        writable: request.write && found.intersects(PollFlags::OUT | over),
        exceptional: found.contains(PollFlags::PRI),
    });
    Ok(results.collect())
}

/// As [`poll`], with select(2). `InvalidInput` for a descriptor that is [`select::FD_SETSIZE`] or more.
pub(super) fn select(requests: &[PollRequest<'_>], timeout: Option<Duration>) -> io::Result<Vec<PollResult>> {
    // Also the descriptors of requests that ask for nothing: they will ask later.
    requests.iter().try_for_each(|request| select::check(request.file))?;
    let files = |wants: fn(&PollRequest<'_>) -> bool| -> Vec<BorrowedFd<'_>> {
        requests.iter().filter(|request| wants(request)).map(|request| request.file).collect()
    };
    let (read, write) = (files(|request| request.read), files(|request| request.write));
    let (reads, writes, exceptions) =
        select::select(&read, &write, &files(|request| request.urgent), timeout)?;
    let members = |numbers: Vec<RawFd>| numbers.into_iter().collect::<BTreeSet<RawFd>>();
    let (reads, writes, exceptions) = (members(reads), members(writes), members(exceptions));
    let results = requests.iter().map(|request| PollResult {
        readable: reads.contains(&request.file.as_raw_fd()),
        writable: writes.contains(&request.file.as_raw_fd()),
        exceptional: exceptions.contains(&request.file.as_raw_fd()),
    });
    Ok(results.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    type Ask = fn(&[PollRequest<'_>], Option<Duration>) -> io::Result<Vec<PollResult>>;
    const BOTH: [Ask; 2] = [poll, super::select];
    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn asked_to_read(file: &UnixStream) -> PollRequest<'_> {
        PollRequest { file: file.as_fd(), read: true, urgent: true, write: false }
    }

    #[test]
    fn both_give_the_same_results() {
        for ask in BOTH {
            let (ours, mut peer) = UnixStream::pair().expect("a pair");
            let question = |read, write| [PollRequest { file: ours.as_fd(), read, urgent: read, write }];
            let answer = |readable, writable| vec![PollResult { readable, writable, exceptional: false }];
            assert_eq!(ask(&question(true, true), NOW).expect("asked"), answer(false, true));
            assert_eq!(ask(&question(true, false), NOW).expect("asked"), answer(false, false));
            peer.write_all(b"x").expect("send");
            assert_eq!(ask(&question(true, true), None).expect("asked"), answer(true, true));
            assert_eq!(ask(&question(false, true), None).expect("asked"), answer(false, true), "not asked");
            (&ours).read_exact(&mut [0]).expect("read");
            drop(peer);
            assert_eq!(ask(&question(true, true), None).expect("asked"), answer(true, true), "the end");
            assert!(ask(&[], NOW).expect("asked about nothing").is_empty());
        }
    }

    #[test]
    fn each_request_has_its_own_result() {
        for ask in BOTH {
            let mut pairs: Vec<_> = (0..40).map(|_| UnixStream::pair().expect("a pair")).collect();
            for (_, peer) in pairs.iter_mut().step_by(3) {
                peer.write_all(b"x").expect("send");
            }
            let asked: Vec<_> = pairs.iter().map(|(ours, _)| asked_to_read(ours)).collect();
            let found = ask(&asked, None).expect("asked");
            assert!(found.iter().enumerate().all(|(at, found)| found.readable == (at % 3 == 0)));
        }
    }

    #[test]
    fn select_has_a_limit_and_poll_has_none() {
        let (ours, _peer) = UnixStream::pair().expect("a pair");
        let _ = crate::sys::process::raise_descriptor_limit();
        let high = rustix::io::fcntl_dupfd_cloexec(&ours, select::FD_SETSIZE).expect("a limit above 1024");
        let asked = [PollRequest { file: high.as_fd(), read: false, urgent: false, write: true }];
        assert!(poll(&asked, NOW).expect("poll")[0].writable);
        assert_eq!(super::select(&asked, NOW).expect_err("too high").kind(), io::ErrorKind::InvalidInput);
    }
}
