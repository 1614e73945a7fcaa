//! The limits of a connection, and the options of the file service.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::error::ConfigError;
use super::headers;
use super::listen;
use super::values::Values;
use crate::files::{Options, Symlinks};
use crate::http1::{Limits, MAX_FIELDS, Settings, Timeouts};
use crate::server::ListenSpec;

/// How many of its time-outs a body, or a response, may take before its rate counts. Otherwise the rate would end a
/// peer that pauses for less than its time-out, if that is a long one.
const GRACES: u32 = 2;

/// The share of `--linger-timeout` that a peer may be silent for: that of the defaults, 2 s of 10 s. A fixed time would
/// end a slow upload whatever the option says.
const SILENCES: u32 = 5;

/// No head is larger, whatever is asked for: it is held in memory, for each connection that sends one.
const MAX_HEAD: usize = 1024 * 1024;

pub(super) fn settings(values: &Values) -> Result<Settings, ConfigError> {
    Ok(Settings {
        limits: limits(values)?,
        timeouts: timeouts(values)?,
        server: Settings::server(!values.has("no-server-header")).into(),
    })
}

fn timeouts(values: &Values) -> Result<Timeouts, ConfigError> {
    let default = Timeouts::default();
    let linger = values.seconds("linger-timeout")?;
    let (body_idle, write_idle) = (values.seconds("body-timeout")?, values.seconds("write-timeout")?);
    Ok(Timeouts {
        head: values.seconds("header-timeout")?,
        keep_alive: values.seconds("keepalive-timeout")?,
        body_idle,
        body_grace: body_idle * GRACES,
        body_rate: values.number("min-body-rate", 1..=u64::MAX)?,
        write_idle,
        write_grace: write_idle * GRACES,
        write_rate: values.number("min-write-rate", 1..=u64::MAX)?,
        linger,
        linger_idle: default.linger_idle.max(linger / SILENCES).min(linger),
        ..default
    })
}

fn limits(values: &Values) -> Result<Limits, ConfigError> {
    let default = Limits::default();
    let body = values.number("max-body-bytes", 0..=i64::MAX.unsigned_abs())?;
    Ok(Limits {
        target: values.number("max-target-bytes", 64..=MAX_HEAD)?,
        field_line: values.number("max-field-bytes", 64..=MAX_HEAD)?,
        head: values.number("max-header-bytes", 256..=MAX_HEAD)?,
        fields: values.number("max-fields", 1..=MAX_FIELDS)?,
        body,
        requests: NonZeroU64::new(values.number("max-requests-per-connection", 0..=u64::MAX)?),
        drained_body: default.drained_body.min(body),
        ..default
    })
}

fn symlinks(values: &Values) -> Result<Symlinks, ConfigError> {
    match (values.has("no-symlinks"), values.has("follow-symlinks")) {
        (false, false) => Ok(Symlinks::Inside),
        (true, false) => Ok(Symlinks::Refuse),
        (false, true) if values.text("sandbox") == "off" => Ok(Symlinks::Anywhere),
        (false, true) => Err(values.usage(
            "follow-symlinks",
            "give --sandbox off as well: a worker in its sandbox can read the root and nothing else",
        )),
        (true, true) => Err(values.usage("follow-symlinks", "leave it or --no-symlinks out")),
    }
}

/// The options of a site: its folders are addresses of pages.
const SITE: [&str; 3] = ["clean-urls", "spa", "spa-file"];

/// Directories are listed for the users of this machine, unless the options say something else. A place beyond it is enough
/// for a no: what may be seen by others is said by name. So is an option of a site, where a folder is the address of a page
/// or of a route.
fn listing(values: &Values) -> Result<bool, ConfigError> {
    match (values.has("listing"), values.has("no-listing")) {
        (true, true) => Err(values.usage("no-listing", "leave it or --listing out")),
        (false, false) if SITE.iter().any(|name| values.has(name)) => Ok(false),
        (false, false) => Ok(listen::places(values)?.iter().all(ListenSpec::is_loopback)),
        (is_wanted, _) => Ok(is_wanted),
    }
}

pub(super) fn files(values: &Values) -> Result<Options, ConfigError> {
    let max_age = values
        .get("max-age")
        .map(|text| text.parse().map_err(|_| values.usage("max-age", "give whole seconds, 0 to 4294967295")));
    Ok(Options {
        listing: listing(values)?,
        dotfiles: values.has("dotfiles"),
        symlinks: symlinks(values)?,
        precompressed: values.has("precompressed"),
        max_age: max_age.transpose()?,
        rules: headers::rules(values)?.map(Arc::new),
        types: headers::types(values)?.map(Arc::new),
        pages: super::pages::pages(values)?,
        file_cache: values.seconds_or_zero("file-cache")?,
        ..Options::default()
    })
}
