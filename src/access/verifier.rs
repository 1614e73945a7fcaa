//! The thread that verifies passwords, and the queue in front of it.
//!
//! One verification takes tens of milliseconds of a CPU. Each worker has one thread for that, which starts with the
//! first password; its priority is lower than that of the loop. Connections with the same credentials wait for the same
//! result.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use log::{error, warn};

use super::basic::Credentials;
use super::known::KnownCredentials;
use super::users::{Tag, Users};
use crate::clock::Instant;
use crate::reactor::Waker;
use crate::slab::Key;
use crate::sys::process;

/// How many passwords may wait, and how many of one client: at a cost of 60 ms the last one waits for two seconds, and
/// no client alone makes the others wait for more than a quarter of a second.
const MOST_JOBS: usize = 32;
const MOST_OF_CLIENT: usize = 4;

/// What is known of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// The connection is woken when they have been verified.
    Later,
    /// The client has as many passwords in the queue as it may have.
    TooMany,
    /// The queue is full.
    Busy,
}

#[derive(Debug)]
struct Verification {
    tag: Tag,
    /// Of an IPv6 address, the network of 64 bits that one client has to itself.
    client: Option<IpAddr>,
    credentials: Credentials,
    waiting: Vec<Key>,
}

#[derive(Debug, Default)]
struct VerifierState {
    known: KnownCredentials,
    /// The first one is being verified, unless it has just come.
    jobs: VecDeque<Verification>,
    has_thread: bool,
    /// The worker has no use for the thread any more.
    is_over: bool,
}

#[derive(Debug)]
struct VerifierShared {
    users: Users,
    waker: Waker,
    state: Mutex<VerifierState>,
    changed: Condvar,
}

/// Verifies credentials without keeping the loop.
#[derive(Debug)]
pub(super) struct Verifier(Arc<VerifierShared>);

impl Verifier {
    pub(super) fn new(users: Users, waker: Waker) -> Self {
        Self(Arc::new(VerifierShared { users, waker, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// What is known of these credentials, which came on this connection from `client`.
    pub(super) fn ask(
        &self,
        credentials: &Credentials,
        client: Option<IpAddr>,
        connection: Key,
        now: Instant,
    ) -> Verdict {
        let tag = self.0.users.tag(credentials);
        let mut state = self.0.lock();
        if let Some(is_right) = state.known.get(&tag, now) {
            return if is_right { Verdict::Right } else { Verdict::Wrong };
        }
        if let Some(job) = state.jobs.iter_mut().find(|job| job.tag == tag) {
            job.waiting.push(connection);
            return Verdict::Later;
        }
        let client = client.map(network);
        if state.jobs.len() >= MOST_JOBS {
            return Verdict::Busy;
        }
        if client.is_some() && state.jobs.iter().filter(|job| job.client == client).count() >= MOST_OF_CLIENT
        {
            return Verdict::TooMany;
        }
        if !state.has_thread {
            if let Err(error) = self.start() {
                warn!("a password cannot be verified: no thread: {error}");
                return Verdict::Busy;
            }
            state.has_thread = true;
        }
        let credentials = credentials.clone();
        state.jobs.push_back(Verification { tag, client, credentials, waiting: vec![connection] });
        drop(state);
        self.0.changed.notify_one();
        Verdict::Later
    }

    fn start(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        Builder::new().name("passwords".into()).stack_size(256 * 1024).spawn(move || shared.work()).map(drop)
    }
}

/// The thread ends after the password that it verifies.
impl Drop for Verifier {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_one();
    }
}

impl VerifierShared {
    fn lock(&self) -> MutexGuard<'_, VerifierState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        process::lower_priority();
        let mut state = self.lock();
        while !state.is_over {
            let Some(job) = state.jobs.front() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let credentials = job.credentials.clone();
            drop(state);
            let verified = catch_unwind(AssertUnwindSafe(|| self.users.verify(&credentials)));
            if verified.is_err() {
                error!("a password could not be verified");
            }
            state = self.lock();
            if let Some(mut job) = state.jobs.pop_front() {
                state.known.insert(job.tag, verified.unwrap_or(false), Instant::now());
                // It fails if the loop is gone, and its connections with it.
                let _ = self.waker.wake_all(&mut job.waiting);
            }
        }
    }
}

/// The part of an address that one client has: all of an IPv4 address, and 64 bits of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
    }
}
