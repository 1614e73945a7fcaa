//! The certificate of `--tls-self-signed`: a new P-256 key and a certificate for the names of this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::der::{self, value};

/// The object identifiers 1.2.840.10045.4.3.2 (ECDSA with SHA-256), 1.2.840.10045.2.1 (EC key), 1.2.840.10045.3.1.7
/// (P-256), 2.5.4.3 (common name), 2.5.29.19 (basic constraints) and 2.5.29.37 with 1.3.6.1.5.5.7.3.1 (use: server).
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const EXTENDED_USE: &[u8] = &[0x55, 0x1d, 0x25];
const FOR_SERVERS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// Days that the certificate is valid: browsers refuse more than 398. It is valid from the day before, for clocks that
/// are slow.
const DAYS: u64 = 397;

const DAY: u64 = 86_400;

/// Makes a key, and a certificate for `names` and `addresses`.
pub(super) fn make(
    names: &[String],
    addresses: &[IpAddr],
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), ring::error::Unspecified> {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random)?;
    let mut serial = [0; 16];
    random.fill(&mut serial)?;
    // Positive, and without a zero at the front.
    serial[0] = serial[0] & 0x3f | 0x40;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let unsigned = unsigned(&serial, pair.public_key().as_ref(), now, names, addresses);
    let signature = pair.sign(&random, &unsigned)?;
    let certificate = value(
        der::SEQUENCE,
        &[&unsigned, &algorithm(), &value(der::BIT_STRING, &[&[0], signature.as_ref()])],
    );
    let key = PrivatePkcs8KeyDer::from(key.as_ref().to_vec());
    Ok((certificate.into(), key.into()))
}

fn algorithm() -> Vec<u8> {
    value(der::SEQUENCE, &[&value(der::OBJECT, &[ECDSA_SHA256])])
}

/// The part of a certificate that is signed (RFC 5280 §4.1).
fn unsigned(serial: &[u8], key: &[u8], now: u64, names: &[String], addresses: &[IpAddr]) -> Vec<u8> {
    let own = names.first().map_or("localhost", String::as_str);
    let common = [value(der::OBJECT, &[COMMON_NAME]), value(der::UTF8, &[own.as_bytes()])].concat();
    let name = value(der::SEQUENCE, &[&value(der::SET, &[&value(der::SEQUENCE, &[&common])])]);
    let time = |at: u64| value(der::TIME, &[date(at).as_bytes()]);
    let validity = value(der::SEQUENCE, &[&time(now.saturating_sub(DAY)), &time(now + (DAYS - 1) * DAY)]);
    let kind = value(der::SEQUENCE, &[&value(der::OBJECT, &[EC_KEY]), &value(der::OBJECT, &[P256])]);
    let key = value(der::SEQUENCE, &[&kind, &value(der::BIT_STRING, &[&[0], key])]);
    let names = names.iter().map(|name| value(der::DNS_NAME, &[name.as_bytes()]));
    let addresses = addresses.iter().map(|address| match address {
        IpAddr::V4(address) => value(der::IP_ADDRESS, &[&address.octets()]),
        IpAddr::V6(address) => value(der::IP_ADDRESS, &[&address.octets()]),
    });
    let names = names.chain(addresses).collect::<Vec<_>>().concat();
    let extensions = [
        extension(der::ALTERNATIVE_NAME, &names),
        extension(CONSTRAINTS, &[]),
        extension(EXTENDED_USE, &value(der::OBJECT, &[FOR_SERVERS])),
    ];
    let extensions = value(der::EXTENSIONS, &[&value(der::SEQUENCE, &[&extensions.concat()])]);
    let version = value(der::VERSION, &[&value(der::INTEGER, &[&[2]])]);
    let serial = value(der::INTEGER, &[serial]);
    value(der::SEQUENCE, &[&version, &serial, &algorithm(), &name, &validity, &name, &key, &extensions])
}

/// An extension that is a sequence.
fn extension(object: &[u8], content: &[u8]) -> Vec<u8> {
    let sequence = value(der::SEQUENCE, &[content]);
    value(der::SEQUENCE, &[&value(der::OBJECT, &[object]), &value(der::OCTET_STRING, &[&sequence])])
}

/// `YYYYMMDDHHMMSSZ`, at midnight.
fn date(at: u64) -> String {
    // The inverse of the count of days: years begin in March, so that the leap day is the last one.
    let days = at / DAY + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!("{:04}{month:02}{day:02}000000Z", year + era * 400)
}

/// The names of this machine: its host name, that name in a local network (RFC 6762), and `localhost`.
pub(super) fn names() -> Vec<String> {
    let host = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let mut names = Vec::new();
    if !host.is_empty() && host.bytes().all(is_name) && host != "localhost" {
        if !host.contains('.') {
            names.push(format!("{host}.local"));
        }
        names.insert(0, host);
    }
    names.push("localhost".into());
    names
}

/// The addresses of this machine: those it would send from, and the loopback ones. Nothing is sent.
pub(super) fn addresses() -> Vec<IpAddr> {
    let source = |local: IpAddr, remote: &str| {
        let socket = UdpSocket::bind((local, 0)).ok()?;
        socket.connect((remote.parse::<IpAddr>().ok()?, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let (four, six) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
    // Addresses of documentation (RFC 5737, RFC 3849), which are routed as any other; and those of a network at home.
    let found = [source(four, "192.0.2.1"), source(four, "192.168.0.1"), source(six, "2001:db8::1")];
    let mut addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for address in found.into_iter().flatten() {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::der::CertificateFacts;

    #[test]
    fn it_is_what_a_reader_of_certificates_finds() {
        let names = ["host.local".to_string(), "localhost".into()];
        let (certificate, _) = make(&names, &addresses()).expect("a certificate");
        let facts = CertificateFacts::of(&certificate).expect("readable");
        assert_eq!(facts.names, names);
        let left = facts.until.duration_since(SystemTime::now()).expect("valid").as_secs() / DAY;
        assert!((394..=396).contains(&left), "{left}");
        for at in 0..certificate.len() {
            // Cut anywhere, it is read without a panic.
            let _ = CertificateFacts::of(&certificate[..at]);
        }
    }

    #[test]
    fn dates() {
        for (at, want) in [
            (0, "19700101"),
            (951_782_400, "20000229"),
            (1_709_251_199, "20240229"),
            (4_107_542_400, "21000301"),
        ] {
            assert_eq!(date(at), format!("{want}000000Z"));
        }
    }
}
