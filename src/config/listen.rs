//! Where to listen: `--listen`, `--host`, `--port`, `--unix-mode`.

use super::error::ConfigError;
use super::values::Values;
use crate::server::ListenSpec;

/// The advice for a place that cannot be read.
const PLACES: &str =
    "give HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH (a file; unix:./@NAME for one that begins with @)";

/// The advice for a place of the status page that cannot be read.
const STATUS_PLACES: &str = "give PORT, HOST:PORT, [IPV6]:PORT or unix:PATH";

/// The advice for a path of the status page that cannot be used.
const STATUS_PATHS: &str =
    "give a path such as /-/status: a slash, then letters, digits, '-', '.', '_', '~' and further slashes";

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

pub(super) fn status(values: &Values) -> Result<Option<ListenSpec>, ConfigError> {
    let read =
        |text: &str| ListenSpec::parse_status(text).ok_or_else(|| values.usage("status", STATUS_PLACES));
    values.get("status").map(read).transpose()
}

pub(super) fn status_path(values: &Values) -> Result<Option<String>, ConfigError> {
    let read = |text: &str| checked_path(text).ok_or_else(|| values.usage("status-path", STATUS_PATHS));
    values.get("status-path").map(read).transpose()
}

/// A path that requests have as it is written, without a slash at its end; `None` if it is not one.
fn checked_path(text: &str) -> Option<String> {
    let path = text.trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut segments = path.strip_prefix('/')?.split('/');
    let is_name = |name: &str| !["", ".", ".."].contains(&name) && name.bytes().all(is_plain);
    segments.all(is_name).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_requests_have() {
        for (text, want) in [("/-/status/", Some("/-/status")), ("/s", Some("/s")), ("/.a~b", Some("/.a~b"))]
        {
            assert_eq!(checked_path(text).as_deref(), want, "{text}");
        }
        for text in ["", "/", "//", "status", "/a//b", "/a/../b", "/./a", "/a b", "/a%20b", "/a?b", "/ä"] {
            assert_eq!(checked_path(text), None, "{text}");
        }
    }
}
