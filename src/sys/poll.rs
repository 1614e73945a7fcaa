//! `select(2)` and `poll(2)`: asking the kernel about every descriptor, every time.
//!
//! Both are twins: the same question, the same answer. What they cost grows with the descriptors that are
//! asked about, not with those that are ready; that is the lesson they are here for.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::readiness::timespec;

/// The question about one descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The descriptor.
    pub file: BorrowedFd<'a>,
    /// Whether it can be read?
    pub read: bool,
    /// Whether it has urgent data?
    pub urgent: bool,
    /// Whether it can be written?
    pub write: bool,
}

/// The answer about one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// It can be read, or its end or an error stands there.
    pub readable: bool,
    /// It can be written, or the write would tell an error.
    pub writable: bool,
    /// Urgent data has come (`POLLPRI`; select's third set).
    pub exceptional: bool,
}

/// Waits with `poll(2)` until one of `asked` is ready or `timeout` is over; one answer for each question. A
/// signal ends the wait early, and then nothing is ready.
///
/// # Errors
/// As poll(2).
pub fn poll(asked: &[Asked<'_>], timeout: Option<Duration>) -> io::Result<Vec<Found>> {
    let flags = |asked: &Asked<'_>| {
        let wanted =
            [(asked.read, PollFlags::IN), (asked.urgent, PollFlags::PRI), (asked.write, PollFlags::OUT)];
        wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag).collect::<PollFlags>()
    };
    let mut files: Vec<_> =
        asked.iter().map(|asked| PollFd::from_borrowed_fd(asked.file, flags(asked))).collect();
    match rustix::event::poll(&mut files, timeout.map(timespec).as_ref()) {
        Err(Errno::INTR) => return Ok(vec![Found::default(); asked.len()]),
        result => result?,
    };
    let over = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    let found = files.iter().map(PollFd::revents).zip(asked).map(|(found, asked)| Found {
        readable: asked.read && found.intersects(PollFlags::IN | over),
        writable: asked.write && found.intersects(PollFlags::OUT | over),
        exceptional: found.contains(PollFlags::PRI),
    });
    Ok(found.collect())
}

/// As [`poll`], with `select(2)`.
///
/// # Errors
/// As [`super::select::select`].
pub fn select(asked: &[Asked<'_>], timeout: Option<Duration>) -> io::Result<Vec<Found>> {
    let wanted = |is: fn(&Asked<'_>) -> bool| -> Vec<BorrowedFd<'_>> {
        asked.iter().filter(|asked| is(asked)).map(|asked| asked.file).collect()
    };
    // Who is asked about nothing is refused as well if it is too large.
    asked.iter().try_for_each(|asked| super::select::check(asked.file))?;
    let (read, write) = (wanted(|asked| asked.read), wanted(|asked| asked.write));
    let (reads, writes, exceptions) =
        super::select::select(&read, &write, &wanted(|asked| asked.urgent), timeout)?;
    let members = |numbers: Vec<RawFd>| numbers.into_iter().collect::<BTreeSet<RawFd>>();
    let (reads, writes, exceptions) = (members(reads), members(writes), members(exceptions));
    let found = asked.iter().map(|asked| Found {
        readable: reads.contains(&asked.file.as_raw_fd()),
        writable: writes.contains(&asked.file.as_raw_fd()),
        exceptional: exceptions.contains(&asked.file.as_raw_fd()),
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    type Twin = fn(&[Asked<'_>], Option<Duration>) -> io::Result<Vec<Found>>;
    const TWINS: [Twin; 2] = [poll, select];
    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn asked_to_read(file: &UnixStream) -> Asked<'_> {
        Asked { file: file.as_fd(), read: true, urgent: true, write: false }
    }

    #[test]
    fn the_twins_give_the_same_answers() {
        for ask in TWINS {
            let (ours, mut peer) = UnixStream::pair().expect("a pair");
            let question = |read, write| [Asked { file: ours.as_fd(), read, urgent: read, write }];
            let answer = |readable, writable| vec![Found { readable, writable, exceptional: false }];
            assert_eq!(ask(&question(true, true), NOW).expect("asked"), answer(false, true));
            assert_eq!(ask(&question(true, false), NOW).expect("asked"), answer(false, false));
            peer.write_all(b"x").expect("send");
            assert_eq!(ask(&question(true, true), None).expect("asked"), answer(true, true));
            assert_eq!(ask(&question(false, true), None).expect("asked"), answer(false, true), "not asked");
            (&ours).read_exact(&mut [0]).expect("read");
            drop(peer);
            assert_eq!(ask(&question(true, true), None).expect("asked"), answer(true, true), "the end");
            assert!(ask(&[], NOW).expect("asked about nobody").is_empty());
        }
    }

    #[test]
    fn each_question_has_its_own_answer() {
        for ask in TWINS {
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
        let high = rustix::io::fcntl_dupfd_cloexec(&ours, crate::sys::select::FD_SETSIZE)
            .expect("a limit above 1024");
        let asked = [Asked { file: high.as_fd(), read: false, urgent: false, write: true }];
        assert!(poll(&asked, NOW).expect("poll")[0].writable);
        assert_eq!(select(&asked, NOW).expect_err("too high").kind(), io::ErrorKind::InvalidInput);
    }
}
