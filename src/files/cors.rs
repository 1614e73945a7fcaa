//! Requests from pages of other origins (CORS, Fetch §3.3).

use std::fmt::Write as _;

use crate::http1::{Method, Request, Response};

/// The fields of a response that a script may read beside the few that Fetch allows anyway: those that readers of
/// ranges need.
const EXPOSED: &str = "Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag, Last-Modified";

/// The fields of a request that a script may send. None changes anything here, and libraries add what they like; `*`
/// does not stand for `Authorization`.
const ALLOWED: &str = "*, Authorization";

/// For how many seconds a browser keeps the answer to a preflight: a day is the most that one of them does.
const PREFLIGHT_AGE: u32 = 86_400;

/// The origins whose pages may read responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Those of all.
    Any,
    /// Those of these, as browsers write them in `Origin`.
    Of(Vec<String>),
}

impl Cors {
    /// Reads the values of `--cors`, of which there is at least one.
    ///
    /// # Errors
    /// The value that is wrong, and what to give instead.
    pub fn parse<'v>(values: &[&'v str]) -> Result<Self, (&'v str, &'static str)> {
        match values {
            ["*"] => Ok(Self::Any),
            values => {
                let read = |value: &&'v str| origin(value).map_err(|wanted| (*value, wanted));
                values.iter().map(read).collect::<Result<_, _>>().map(Self::Of)
            }
        }
    }

    /// Whether the response depends on `Origin`.
    pub(super) fn varies(&self) -> bool {
        *self != Self::Any
    }

    /// Adds the fields that do not depend on the request. `more` are further fields to expose.
    pub(super) fn write_to<'n>(&self, response: &mut Response, more: impl Iterator<Item = &'n str>) {
        if *self == Self::Any {
            response.field("Access-Control-Allow-Origin", "*");
        }
        let mut exposed = String::from(EXPOSED);
        for name in more {
            // Writing into a String cannot fail.
            let _ = write!(exposed, ", {name}");
        }
        response.field("Access-Control-Expose-Headers", exposed);
    }

    /// Adds the origin of the request once, if it is one of those that may.
    pub(super) fn allow(&self, request: &Request<'_>, response: &mut Response) {
        let name = "Access-Control-Allow-Origin";
        if let (Self::Of(origins), Some(sent)) = (self, request.fields.single("Origin"))
            && let Some(origin) = origins.iter().find(|origin| origin.as_bytes() == sent)
            && !response.has(name)
        {
            response.field(name, origin);
        }
    }

    /// Adds what a browser asks for before it sends a request that a form could not send. A method that is not among
    /// these is refused by the browser.
    pub(super) fn write_preflight(request: &Request<'_>, response: &mut Response) {
        if request.method == Method::Options && request.fields.get("Access-Control-Request-Method").is_some()
        {
            response.field("Access-Control-Allow-Methods", "GET, HEAD");
            response.field("Access-Control-Allow-Headers", ALLOWED);
            response.field("Access-Control-Max-Age", PREFLIGHT_AGE);
        }
    }
}

/// An origin as browsers write it: lower case, and without the port that its scheme has anyway.
fn origin(text: &str) -> Result<String, &'static str> {
    let lower = text.to_ascii_lowercase();
    let form = "give an origin such as https://app.example or http://localhost:5173";
    match lower.as_str() {
        "*" => return Err("give * alone, or origins without it"),
        "null" => return Err("give * instead: every page can have the origin null, in a sandbox"),
        _ => {}
    }
    let (scheme, place) = lower.split_once("://").ok_or(form)?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme) {
        return Err(form);
    }
    if !place.is_ascii() {
        return Err("give the host in ASCII, as browsers send it (xn--…)");
    }
    if place.contains(['/', '?', '#']) {
        return Err("leave out the slash and what follows it: an origin has no path");
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse::<u16>().map_err(|_| form)?)),
        _ => (place, None),
    };
    let is_name =
        |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<core::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && is_name(host),
    };
    match (is_host, scheme, port) {
        (false, ..) => Err(form),
        (true, "http", Some(80)) | (true, "https", Some(443)) | (true, _, None) => {
            Ok(format!("{scheme}://{host}"))
        }
        (true, _, Some(port)) => Ok(format!("{scheme}://{host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_as_browsers_write_them() {
        for (given, want) in [
            ("https://App.Example", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("http://app.example:443", "http://app.example:443"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(Cors::parse(&[given]), Ok(Cors::Of(vec![want.into()])), "{given}");
        }
        assert_eq!(Cors::parse(&["*"]), Ok(Cors::Any));
        for (wrong, says) in [
            ("app.example", "give an origin"),
            ("https://", "give an origin"),
            ("https://a b", "give an origin"),
            ("https://*.example", "give an origin"),
            ("https://app.example:x", "give an origin"),
            ("https://app.example:70000", "give an origin"),
            ("http://[::g]", "give an origin"),
            ("http://user@host", "give an origin"),
            ("1://host", "give an origin"),
            ("https://app.example/", "slash"),
            ("https://m\u{fc}nchen.example", "ASCII"),
            ("null", "give * instead"),
        ] {
            let error = Cors::parse(&[wrong]).expect_err(wrong);
            assert!(error.0 == wrong && error.1.contains(says), "{wrong}: {}", error.1);
        }
        assert!(Cors::parse(&["https://a", "*"]).is_err_and(|(value, _)| value == "*"));
    }
}
