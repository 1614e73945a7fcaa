//! A program without the feature `tls`: its options lead to an error, and no session exists.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::SystemTime;

use super::{TlsError, TlsFiles};
use crate::chat::Transport;

/// Nothing to keep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept(());

impl Kept {
    /// Does nothing.
    pub fn forget_old(&self) {}
}

/// No credentials.
#[derive(Clone, Copy, Debug)]
pub enum Credentials {}

impl Credentials {
    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &TlsFiles, _: &mut Kept) -> Result<Self, TlsError> {
        let line = "this program was built without TLS: build it with the feature `tls`";
        Err(TlsError::of("--tls-cert", line))
    }

    /// As with the feature.
    #[must_use]
    pub fn warnings(&self, _: SystemTime) -> Vec<String> {
        match *self {}
    }

    /// As with the feature.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        match *self {}
    }
}

/// No sessions.
#[derive(Clone, Copy, Debug)]
pub enum Tls {}

impl Tls {
    /// As with the feature.
    #[must_use]
    pub fn new(credentials: &Credentials) -> Self {
        match *credentials {}
    }

    /// As with the feature.
    #[must_use]
    pub fn session(self: &Rc<Self>) -> Option<Session> {
        match **self {}
    }

    /// As with the feature.
    pub fn forget_old(&self) {
        match *self {}
    }
}

/// No session.
#[derive(Clone, Copy, Debug)]
pub enum Session {}

#[allow(missing_docs, clippy::missing_errors_doc, reason = "as with the feature")]
impl Session {
    pub fn recv(&mut self, _: &mut impl Transport) -> io::Result<Option<&[u8]>> {
        match *self {}
    }

    pub fn send(&mut self, _: &mut impl Transport, _: &[u8], _: bool) -> io::Result<Option<usize>> {
        match *self {}
    }

    pub fn send_file(
        &mut self,
        _: &mut impl Transport,
        _: BorrowedFd<'_>,
        _: u64,
        _: u64,
    ) -> io::Result<Option<usize>> {
        match *self {}
    }

    pub fn shutdown(&mut self, _: &mut impl Transport) {
        match *self {}
    }

    pub fn settle(&mut self, _: &mut impl Transport, _: bool) -> io::Result<()> {
        match *self {}
    }

    #[must_use]
    pub fn wants_write(&self) -> bool {
        match *self {}
    }

    pub fn reset(&mut self) {
        match *self {}
    }
}
