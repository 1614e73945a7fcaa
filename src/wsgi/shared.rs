//! What the loop of a worker shares with the threads that call the application, and which peers are trusted.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sent_pieces::SentPieces;

/// Locks a mutex. A panic of another thread leaves nothing half done under the locks of this part.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every response of a worker depends on.
#[derive(Debug, Default)]
pub(super) struct WorkerContext {
    /// The value of the `Server` field.
    pub(super) server: String,
    /// Whether the worker is draining: each response is the last of its connection.
    pub(super) draining: AtomicBool,
    /// Whether requests are run whose clients are gone.
    pub(super) run_abandoned: bool,
    /// Whether the access log has fields of responses.
    pub(super) logs_fields: bool,
    /// The proxies in front of the server.
    pub(super) trusted: Trusted,
    /// Large pieces whose last byte has left.
    pub(super) sent: SentPieces,
}

/// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trusted {
    all: bool,
    networks: Vec<(IpAddr, u8)>,
}

impl Trusted {
    /// Reads a list of addresses and networks; `*` is every peer.
    ///
    /// # Errors
    /// The word that is neither.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut trusted = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            if word == "*" {
                trusted.all = true;
                continue;
            }
            let (address, bits) = word.split_once('/').map_or((word, None), |(a, b)| (a, Some(b)));
            let address: IpAddr = address.parse().map_err(|_| word.to_string())?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Ok(most), str::parse).map_err(|_| word.to_string())?;
            if bits > most {
                return Err(word.to_string());
            }
            trusted.networks.push((address.to_canonical(), bits));
        }
        Ok(trusted)
    }

    /// Whether no peer is trusted.
    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.networks.is_empty()
    }

    /// Whether this peer is trusted. A peer on a Unix socket has no address.
    pub(super) fn contains(&self, peer: Option<IpAddr>) -> bool {
        let Some(peer) = peer.map(|peer| peer.to_canonical()) else {
            return self.all;
        };
        self.all || self.networks.iter().any(|(network, bits)| is_in(peer, *network, *bits))
    }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
        }
        _ => false,
    }
}

/// The client behind proxies: the last address in `X-Forwarded-For` that is not a trusted proxy's, or the first.
pub(super) fn client_behind(trusted: &Trusted, forwarded_for: &[u8]) -> Option<IpAddr> {
    let mut client = None;
    for word in forwarded_for.rsplit(|byte| *byte == b',') {
        let address = std::str::from_utf8(word).ok().and_then(|word| word.trim().parse::<IpAddr>().ok());
        let Some(address) = address else {
            break;
        };
        client = Some(address);
        if !trusted.contains(Some(address)) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_peers() {
        let trusted = Trusted::parse("127.0.0.1, 10.0.0.0/8,::1").expect("a list");
        let has = |text: &str| trusted.contains(Some(text.parse().expect("an address")));
        assert!(has("127.0.0.1") && has("10.200.3.4") && has("::1") && has("::ffff:10.1.1.1"));
        assert!(!has("11.0.0.1") && !has("::2") && !trusted.contains(None));
        assert!(Trusted::parse("*").expect("all").contains(None));
        assert!(Trusted::parse("").expect("none").is_empty());
        for bad in ["x", "1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4/x"] {
            assert_eq!(Trusted::parse(bad), Err(bad.into()));
        }
    }

    #[test]
    fn clients_behind_proxies() {
        let trusted = Trusted::parse("10.0.0.0/8").expect("a list");
        let behind = |text: &str| client_behind(&trusted, text.as_bytes()).map(|ip| ip.to_string());
        assert_eq!(behind("6.6.6.6, 1.2.3.4, 10.0.0.2").as_deref(), Some("1.2.3.4"));
        assert_eq!(behind("1.2.3.4").as_deref(), Some("1.2.3.4"));
        assert_eq!(behind("10.0.0.3, 10.0.0.2").as_deref(), Some("10.0.0.3"));
        assert_eq!(behind("evil, 10.0.0.2").as_deref(), Some("10.0.0.2"));
        assert_eq!(behind("evil"), None);
        let all = Trusted::parse("*").expect("all");
        assert_eq!(client_behind(&all, b"1.2.3.4, 5.6.7.8"), Some([1, 2, 3, 4].into()));
    }
}
