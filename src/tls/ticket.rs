//! Session tickets (RFC 5077, RFC 8446 §4.6.1) that every worker can read.
//!
//! The master makes the first key before it forks, so all workers have it. A key is used for one period; then each
//! process computes the next one for itself, by a hash that cannot be computed backwards, and forgets the one before the
//! last. So workers agree without a word, a worker of a later generation agrees with those before it, and a stolen memory
//! opens no session that is older than two periods.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

/// How long a key encrypts. It decrypts for another period.
pub(super) const PERIOD: Duration = Duration::from_secs(6 * 3600);

/// The number of the period, before the nonce and the ciphertext of a ticket.
const NUMBER: usize = size_of::<u64>();

type Secret = [u8; 32];

/// The keys of the tickets, in one process.
#[derive(Debug)]
pub(super) struct TicketKeys {
    begun: Instant,
    chain: Mutex<Chain>,
    random: SystemRandom,
}

/// The state in one period.
struct Chain {
    period: u64,
    /// From which the keys of this and later periods follow.
    secret: Secret,
    key: LessSafeKey,
    previous: Option<LessSafeKey>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("period", &self.period).finish_non_exhaustive()
    }
}

/// A hash of the secret: one purpose tells nothing about another.
fn derive(secret: &Secret, purpose: &[u8]) -> Secret {
    let mut hash = Context::new(&SHA256);
    hash.update(purpose);
    hash.update(secret);
    let mut derived = Secret::default();
    derived.copy_from_slice(hash.finish().as_ref());
    derived
}

fn key_of(secret: &Secret) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, &derive(secret, b"stheno ticket key")).ok().map(LessSafeKey::new)
}

impl Chain {
    /// Moves on to `period`, one period at a time.
    fn move_to(&mut self, period: u64) {
        while self.period < period {
            self.secret = derive(&self.secret, b"stheno next period");
            self.period += 1;
            let Some(key) = key_of(&self.secret) else { return };
            self.previous = Some(std::mem::replace(&mut self.key, key));
        }
    }
}

impl TicketKeys {
    /// New keys, from the system's random numbers.
    ///
    /// # Errors
    /// When the system has none.
    pub(super) fn new() -> Result<Self, String> {
        let random = SystemRandom::new();
        let mut secret = Secret::default();
        random.fill(&mut secret).map_err(|_| "the system has no random numbers")?;
        let key = key_of(&secret).ok_or("the key is not one")?;
        let chain = Chain { period: 0, secret, key, previous: None };
        Ok(Self { begun: Instant::now(), chain: Mutex::new(chain), random })
    }

    /// Forgets the keys that are too old. Each use does so, too: this is for a process that is not asked.
    pub(super) fn forget_old(&self) {
        self.at(Instant::now(), |_| ());
    }

    /// Calls a function with the state of the period that `now` is in.
    fn at<R>(&self, now: Instant, call: impl FnOnce(&Chain) -> R) -> R {
        // A thread that panicked has left a whole state: each step of it is one.
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.move_to(now.saturating_duration_since(self.begun).as_secs() / PERIOD.as_secs());
        call(&chain)
    }

    fn encrypt_at(&self, now: Instant, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        self.at(now, |chain| {
            let number = chain.period.to_be_bytes();
            let mut sealed = plain.to_vec();
            let nonce_of_key = Nonce::assume_unique_for_key(nonce);
            chain.key.seal_in_place_append_tag(nonce_of_key, Aad::from(number), &mut sealed).ok()?;
            Some([&number[..], &nonce, &sealed].concat())
        })
    }

    fn decrypt_at(&self, now: Instant, ticket: &[u8]) -> Option<Vec<u8>> {
        let (number, rest) = ticket.split_first_chunk::<NUMBER>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let period = u64::from_be_bytes(*number);
        self.at(now, |chain| {
            let key = match chain.period.checked_sub(period)? {
                0 => &chain.key,
                1 => chain.previous.as_ref()?,
                _ => return None,
            };
            let mut sealed = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let plain = key.open_in_place(nonce, Aad::from(*number), &mut sealed).ok()?;
            Some(plain.to_vec())
        })
    }
}

impl ProducesTickets for TicketKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD.as_secs().try_into().unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(Instant::now(), plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(Instant::now(), ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a fork does.
    fn fork(keys: &TicketKeys) -> TicketKeys {
        keys.at(Instant::now(), |chain| TicketKeys {
            begun: keys.begun,
            chain: Mutex::new(Chain {
                period: chain.period,
                secret: chain.secret,
                key: key_of(&chain.secret).expect("a key"),
                previous: None,
            }),
            random: SystemRandom::new(),
        })
    }

    #[test]
    fn processes_agree_over_periods_and_old_tickets_end() {
        let master = TicketKeys::new().expect("random numbers");
        let (one, other) = (fork(&master), fork(&master));
        let at = |periods: u32| master.begun + PERIOD * periods + Duration::from_secs(1);
        let ticket = one.encrypt_at(at(3), b"session").expect("a ticket");
        assert_ne!(ticket, one.encrypt_at(at(3), b"session").expect("a ticket"), "its nonce is new");
        for periods in [3, 4] {
            assert_eq!(other.decrypt_at(at(periods), &ticket).as_deref(), Some(&b"session"[..]));
        }
        assert_eq!(other.decrypt_at(at(5), &ticket), None, "the key is forgotten");
        assert_eq!(other.decrypt_at(at(3), &ticket), None, "no key comes back");
    }

    #[test]
    fn a_ticket_of_someone_else_is_none() {
        let keys = TicketKeys::new().expect("random numbers");
        let ticket = keys.encrypt(b"session").expect("a ticket");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(keys.decrypt(&changed), None, "byte {at}");
            assert_eq!(keys.decrypt(&ticket[..at]), None, "cut at {at}");
        }
        assert_eq!(TicketKeys::new().expect("random numbers").decrypt(&ticket), None);
    }
}
