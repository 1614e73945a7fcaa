//! Where to listen: `--listen`, `--host`, `--port`, `--unix-mode`.

use super::error::ConfigError;
use super::values::Values;
use crate::server::ListenSpec;

/// The advice for a place that cannot be read.
pub(crate) const PLACES: &str =
    "give HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH (a file; unix:./@NAME for one that begins with @)";

/// Every place of `--listen`, after the one of `--host` and `--port`, if these are given or there is no `--listen`.
pub(super) fn places(values: &Values) -> Result<Vec<ListenSpec>, ConfigError> {
    let mut places = Vec::new();
    if !values.has("listen") || values.has("host") || values.has("port") {
        places.push(ListenSpec::host_and_port(values.text("host"), values.number("port", 0..=u16::MAX)?));
    }
    for text in values.all("listen") {
        places.push(ListenSpec::parse(text).ok_or_else(|| values.invalid("listen", text, PLACES))?);
    }
    Ok(places)
}

pub(super) fn unix_mode(values: &Values) -> Result<u32, ConfigError> {
    let text = values.text("unix-mode");
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && !text.starts_with('+'));
    mode.ok_or_else(|| values.usage("unix-mode", "give octal digits, 0 to 0777"))
}
