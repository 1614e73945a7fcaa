//! Certificates and keys: read, checked, and chosen for a client.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::der::CertificateFacts;
use super::own;
use super::ticket::TicketKeys;
use super::{TlsError, TlsFiles};

/// A certificate that expires within this time is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// What a reload keeps: clients resume sessions of before, and see the same self-signed certificate.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    tickets: Option<Arc<TicketKeys>>,
    own: Option<Arc<Certificate>>,
}

impl Kept {
    /// Forgets the ticket keys that are too old.
    pub fn forget_old(&self) {
        self.tickets.iter().for_each(|tickets| tickets.forget_old());
    }
}

/// Everything that a server needs for sessions, open.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub(super) config: Arc<ServerConfig>,
    pub(super) tickets: Arc<TicketKeys>,
    certificates: Vec<Arc<Certificate>>,
    own: Option<Arc<Certificate>>,
}

/// A certificate with its key.
#[derive(Debug)]
struct Certificate {
    /// Where it comes from, for messages.
    name: String,
    facts: CertificateFacts,
    key: Arc<CertifiedKey>,
}

impl Credentials {
    /// Reads what `files` name. What an earlier call has put into `kept` is used again.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn open(files: &TlsFiles, kept: &mut Kept) -> Result<Self, TlsError> {
        let mut certificates = Vec::new();
        for (certificate, key) in &files.pairs {
            certificates.push(Arc::new(Certificate::read(certificate, key)?));
        }
        let own = match (files.self_signed, kept.own.take()) {
            (false, _) => None,
            (true, Some(own)) => Some(own),
            (true, None) => Some(Arc::new(Certificate::own()?)),
        };
        certificates.extend(own.clone());
        kept.own.clone_from(&own);
        let tickets = match kept.tickets.take() {
            Some(tickets) => tickets,
            None => Arc::new(TicketKeys::new().map_err(|what| TlsError::of("--tls-cert", what))?),
        };
        kept.tickets = Some(Arc::clone(&tickets));
        let chooser = Arc::new(Chooser(certificates.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| TlsError::of("--tls-cert", error.to_string()))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(chooser);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = Arc::clone(&tickets) as _;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A client gets a new one with each connection, and may use one more than once.
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), tickets, certificates, own })
    }

    /// A line for each certificate that has expired at `now`, expires soon, or names no host.
    #[must_use]
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let line = |certificate: &Arc<Certificate>| {
            let name = &certificate.name;
            match certificate.facts.until.duration_since(now) {
                Err(_) => Some(format!("the certificate {name} has expired: clients refuse it")),
                Ok(left) if left < SOON => {
                    Some(format!("the certificate {name} expires in {} days", left.as_secs() / 86_400))
                }
                Ok(_) => None,
            }
        };
        let nameless = self.certificates.iter().filter(|certificate| certificate.facts.names.is_empty());
        let nameless = nameless.map(|certificate| {
            let name = &certificate.name;
            format!("the certificate {name} names no host (no subjectAltName): browsers refuse it, and no client asks for it")
        });
        self.certificates.iter().filter_map(line).chain(nameless).collect()
    }

    /// The SHA-256 fingerprint of the self-signed certificate, for a person to compare with a browser.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        let certificate = self.own.as_ref()?.key.cert.first()?;
        let hash = ring::digest::digest(&ring::digest::SHA256, certificate);
        Some(hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
    }
}

impl Certificate {
    /// Reads a chain and its key, both in PEM (RFC 7468).
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let name = certificate.display().to_string();
        let fails = |what: String| TlsError::of("--tls-cert", format!("{what} {name}"));
        let pem = fs::read(certificate).map_err(|error| {
            TlsError::of("--tls-cert", format!("cannot read the certificate {name}: {error}"))
        })?;
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| fails(format!("{error} in the certificate file")))?;
        let Some(first) = chain.first() else {
            return Err(fails("there is no CERTIFICATE block of PEM in".into()));
        };
        let facts =
            CertificateFacts::of(first).ok_or_else(|| fails("cannot understand the certificate".into()))?;
        let der = read_key(key)?;
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, der, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::of(
                "--tls-key",
                format!(
                    "the key {} does not belong to the certificate {name}: give the pairs in the same order",
                    key.display()
                ),
            ),
            error => TlsError::of("--tls-key", format!("cannot use the key {}: {error}", key.display())),
        })?;
        Ok(Self { name, facts, key: Arc::new(key) })
    }

    fn own() -> Result<Self, TlsError> {
        let fails =
            |what: &str| TlsError::of("--tls-self-signed", format!("cannot make a certificate: {what}"));
        let (der, key) =
            own::make(&own::names(), &own::addresses()).map_err(|_| fails("no random numbers"))?;
        let facts = CertificateFacts::of(&der).ok_or_else(|| fails("it is malformed"))?;
        let key = CertifiedKey::from_der(vec![der], key, &rustls::crypto::ring::default_provider());
        let key = key.map_err(|error| fails(&error.to_string()))?;
        Ok(Self { name: "that --tls-self-signed has made".into(), facts, key: Arc::new(key) })
    }

    /// Whether it is for this name; a wildcard stands for one label (RFC 6125 §6.4.3).
    fn is_for(&self, name: &str) -> bool {
        let rest = name.split_once('.').map(|(_, rest)| rest);
        self.facts.names.iter().any(|own| match own.strip_prefix("*.") {
            Some(own) => rest.is_some_and(|rest| rest.eq_ignore_ascii_case(own)),
            None => own.eq_ignore_ascii_case(name),
        })
    }
}

/// Reads a private key. A file that every user can read is no secret.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let shown = path.display();
    let fails = |what: String| TlsError::of("--tls-key", what);
    let unreadable = |error| fails(format!("cannot read the key {shown}: {error}"));
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o006 != 0 {
        return Err(fails(format!("every user can read or change the key {shown}: chmod 600 {shown}")));
    }
    let pem = fs::read(path).map_err(unreadable)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            fails(format!("there is no PRIVATE KEY block of PEM, without a password, in {shown}"))
        }
        error => fails(format!("{error} in the key {shown}")),
    })
}

/// Chooses a certificate by the name that the client asks for (SNI, RFC 6066 §3), and by the signatures that it accepts.
#[derive(Debug)]
struct Chooser(Vec<Arc<Certificate>>);

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let is_named = |certificate: &Certificate| name.is_some_and(|name| certificate.is_for(name));
        let is_usable = |certificate: &Certificate| {
            certificate.key.key.choose_scheme(hello.signature_schemes()).is_some()
        };
        let rank = |certificate: &&Arc<Certificate>| (!is_named(certificate), !is_usable(certificate));
        // The first one of the best: the default is the first of all.
        self.0.iter().min_by_key(rank).map(|certificate| Arc::clone(&certificate.key))
    }
}
