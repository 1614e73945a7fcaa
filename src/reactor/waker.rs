//! Waking the loop from another thread.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use mio::{Registry, Token};

use crate::slab::Key;

/// The token of the waker. No key has these bits: the slab never uses the last index.
pub(super) const TOKEN: Token = Token(usize::MAX);

/// Has `handle_wake` of a channel called on the thread of its reactor. Clones wake the same reactor, from any thread.
#[derive(Clone, Debug)]
pub struct Waker {
    waker: Arc<mio::Waker>,
    keys: Arc<Mutex<Vec<Key>>>,
}

impl Waker {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        Ok(Self { waker: Arc::new(mio::Waker::new(registry, TOKEN)?), keys: Arc::default() })
    }

    /// Asks for `handle_wake` of the channel `key`. If it is closed by then, nothing happens.
    ///
    /// # Errors
    /// As write(2) on an eventfd.
    pub fn wake(&self, key: Key) -> io::Result<()> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.push(key);
        let is_first = keys.len() == 1;
        drop(keys);
        // An earlier call has woken the reactor, which has not read the list yet: it will find this key as well.
        if is_first { self.waker.wake() } else { Ok(()) }
    }

    /// As [`Waker::wake`], for all `channels` at once; leaves that list empty.
    ///
    /// # Errors
    /// As [`Waker::wake`].
    pub fn wake_all(&self, channels: &mut Vec<Key>) -> io::Result<()> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = keys.is_empty() && !channels.is_empty();
        keys.append(channels);
        drop(keys);
        if is_first { self.waker.wake() } else { Ok(()) }
    }

    /// Takes the keys that were asked for since the last call.
    pub(super) fn take(&self) -> Vec<Key> {
        std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
