//! TLS: `--tls-cert`, `--tls-key`, `--tls-self-signed`, `--redirect-http`.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::listen;
use super::values::Values;
use crate::server::{Endpoint, ListenSpec};
use crate::tls::TlsFiles;

/// The files of certificates, each with that of its key; `None` without TLS. The master reads them, and again at SIGHUP: a
/// path stays what it is when the directory changes.
pub(super) fn files(values: &Values) -> Result<Option<TlsFiles>, ConfigError> {
    let paths = |name| {
        values.all(name).map(|text| absolute(text).ok_or_else(|| values.invalid(name, text, "give a file")))
    };
    let certificates = paths("tls-cert").collect::<Result<Vec<_>, _>>()?;
    let keys = paths("tls-key").collect::<Result<Vec<_>, _>>()?;
    if certificates.len() != keys.len() {
        let (few, other) = if keys.len() < certificates.len() {
            ("tls-key", "--tls-cert")
        } else {
            ("tls-cert", "--tls-key")
        };
        return Err(values.usage(few, &format!("give one for each {other}, in the same order")));
    }
    let self_signed = values.has("tls-self-signed");
    let pairs: Vec<_> = certificates.into_iter().zip(keys).collect();
    Ok((self_signed || !pairs.is_empty()).then_some(TlsFiles { pairs, self_signed }))
}

fn absolute(text: &str) -> Option<PathBuf> {
    std::path::absolute(Path::new(text)).ok()
}

/// The places of `--redirect-http`.
pub(super) fn redirects(values: &Values) -> Result<Vec<ListenSpec>, ConfigError> {
    let name = "redirect-http";
    let read = |text: &str| match Endpoint::parse(text) {
        Some(Endpoint::Unix(_)) | None => {
            Err(values.invalid(name, text, "give HOST:PORT, [IPV6]:PORT or :PORT"))
        }
        Some(endpoint) => Ok(ListenSpec::Redirect(endpoint)),
    };
    let places = values.all(name).map(read).collect::<Result<Vec<_>, _>>()?;
    if !places.is_empty() && files(values)?.is_none() {
        return Err(values.usage(name, "give a certificate as well, with --tls-cert or --tls-self-signed"));
    }
    if !places.is_empty() && listen::places(values)?.iter().all(ListenSpec::is_unix) {
        return Err(values.usage(name, "give a TCP place to listen as well: a Unix socket has no TLS"));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config(line: &str) -> Result<Config, ConfigError> {
        Config::load(&line.split_whitespace().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn files_are_pairs() {
        assert_eq!(config("").expect("none").base.tls, None);
        let two = config("--tls-cert /a --tls-key /b --tls-cert /c --tls-key /d").expect("two").base.tls;
        let pairs = vec![("/a".into(), "/b".into()), ("/c".into(), "/d".into())];
        assert_eq!(two, Some(TlsFiles { pairs, self_signed: false }));
        for (line, says) in [
            ("--tls-cert /a", "--tls-key"),
            ("--tls-key /a", "--tls-cert"),
            ("--redirect-http :80", "--tls-self-signed"),
            ("--tls-self-signed --redirect-http unix:/a", "HOST:PORT"),
        ] {
            let error = config(line).expect_err(line).into_line();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
