//! Who may read, and behind which proxies: `--allow`, `--auth`, `--forwarded-from`, `--proxy-protocol`, and the format
//! of the access log, which names the clients.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::ConfigError;
use super::values::Values;
use crate::access::Forwarded;
use crate::http1::is_tchar;
use crate::server::{LogFormat, Networks};

/// Who may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// The clients that are served; `None` for all.
    pub allow: Option<Networks>,
    /// The file of the users that are served.
    pub auth: Option<PathBuf>,
    /// The proxies that name their clients.
    pub forwarded: Option<Forwarded>,
}

pub(crate) fn access(values: &Values) -> Result<AccessConfig, ConfigError> {
    Ok(AccessConfig {
        allow: networks(values, "allow")?,
        auth: values.path("auth"),
        forwarded: forwarded(values)?,
    })
}

/// The networks of all values of an option; `None` if it is not given.
pub(super) fn networks(values: &Values, name: &str) -> Result<Option<Networks>, ConfigError> {
    let mut all = None::<Networks>;
    for text in values.all(name) {
        let networks = Networks::parse(text).map_err(|wanted| values.invalid(name, text, &wanted))?;
        all.get_or_insert_default().extend(networks);
    }
    Ok(all)
}

fn forwarded(values: &Values) -> Result<Option<Forwarded>, ConfigError> {
    let (name, field) = ("forwarded-field", values.text("forwarded-field"));
    if field.is_empty() || !field.bytes().all(is_tchar) {
        return Err(values.usage(name, "give the name of a field, such as X-Forwarded-For or Forwarded"));
    }
    let from = networks(values, "forwarded-from")?;
    if !field.eq_ignore_ascii_case("X-Forwarded-For") && from.is_none() {
        return Err(values.usage(name, "give the networks of the proxies as well, with --forwarded-from"));
    }
    Ok(from.map(|from| Forwarded { from, field: field.into() }))
}

pub(super) fn needs_tls(values: &Values) -> Result<bool, ConfigError> {
    match (values.has("auth"), values.has("auth-without-tls")) {
        (false, true) => Err(values.usage("auth-without-tls", "give the file of users as well, with --auth")),
        (has_users, may_be_clear) => Ok(has_users && !may_be_clear),
    }
}

/// The format of the access log; `None` for the combined one. If a request may have a user, or another client than its
/// peer, that has to be written by a format.
pub(super) fn log_format(values: &Values) -> Result<Option<Arc<LogFormat>>, ConfigError> {
    let name = "access-log-format";
    let format = match values.text(name) {
        "combined" if values.has("auth") || values.has("forwarded-from") => LogFormat::combined(),
        "combined" => return Ok(None),
        "json" => LogFormat::json(),
        text => LogFormat::parse(text).map_err(|wanted| values.usage(name, &wanted))?,
    };
    Ok(Some(Arc::new(format)))
}
