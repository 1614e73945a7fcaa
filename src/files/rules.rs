//! What the operator adds to responses, by path: fields, caching, and pages of other origins.

use super::cors::Cors;
use super::glob::{Glob, PathNames};
use crate::http1::{Request, Response, is_tchar};

/// The longest field line: as long as the server itself takes one by default.
const MAX_LINE: usize = 8192;

/// Fields, caching and CORS. The first rule for a path decides, for fields the first of each name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The fields of `--header`.
    pub fields: Vec<GivenField>,
    /// The values of `Cache-Control` (`--cache`).
    pub caching: Vec<CacheRule>,
    /// The origins of `--cors`.
    pub cors: Option<Cors>,
}

/// A field of every response, or of those about certain paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenField {
    glob: Option<Glob>,
    name: String,
    value: String,
}

/// A value of `Cache-Control` for certain paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRule {
    glob: Glob,
    value: String,
}

impl Rules {
    /// The value of `Cache-Control` of a file.
    pub(super) fn cache_control(&self, path: &PathNames) -> Option<&str> {
        self.caching.iter().find(|rule| rule.glob.matches(path)).map(|rule| rule.value.as_str())
    }

    /// Adds the fields of every response about a path, which is `None` if the target has none. A field that the
    /// response has already stays: a listing needs its own `Content-Security-Policy`.
    pub(super) fn write_to(&self, response: &mut Response, path: Option<&PathNames>) {
        for rule in &self.fields {
            let applies = rule.glob.as_ref().is_none_or(|glob| path.is_some_and(|path| glob.matches(path)));
            if applies && !response.has(&rule.name) {
                response.field(&rule.name, &rule.value);
            }
        }
        if let Some(cors) = &self.cors {
            cors.write_to(response, self.fields.iter().map(|rule| rule.name.as_str()));
        }
    }

    /// Whether the response depends on `Origin`.
    pub(super) fn varies(&self) -> bool {
        self.cors.as_ref().is_some_and(Cors::varies)
    }

    /// Adds the fields that depend on the request.
    pub(super) fn allow_origin(&self, request: &Request<'_>, response: &mut Response) {
        if let Some(cors) = &self.cors {
            cors.allow(request, response);
        }
    }

    /// Adds all fields to a response that is not one with a file.
    pub(super) fn complete(&self, request: &Request<'_>, path: Option<&PathNames>, response: &mut Response) {
        self.write_to(response, path);
        self.allow_origin(request, response);
        if self.varies() {
            response.field("Vary", "Origin");
        }
        if self.cors.is_some() {
            Cors::write_preflight(request, response);
        }
    }
}

/// Names that no rule may have, and why.
const OWNED: [(&[&str], &str); 6] = [
    (
        &["connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"],
        "the server frames its messages itself",
    ),
    (&["date", "location", "allow", "retry-after"], "the server sends it where it belongs"),
    (&["server"], "the server sends it; --no-server-header leaves its version out"),
    (
        &["accept-ranges", "content-encoding", "content-range", "etag", "last-modified", "vary"],
        "the server derives it from the file",
    ),
    (&["content-type"], "give types with --mime-types or --default-type"),
    (&["age", "cache-control", "expires"], "give --cache '*=VALUE', which errors do not have"),
];

impl GivenField {
    /// Reads `NAME: VALUE` or `GLOB=NAME: VALUE`. No name has a `=`, so the one before it ends the pattern; a pattern
    /// that looks like a name up to a colon begins with `/`.
    ///
    /// # Errors
    /// What to give instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "give 'NAME: VALUE' or 'GLOB=NAME: VALUE'";
        let (glob, line) = match text.split_once(':') {
            Some((name, _)) if is_name(name) => (None, text),
            _ => text.split_once('=').map(|(glob, line)| (Some(glob), line)).ok_or(form)?,
        };
        let (name, value) = line.split_once(':').filter(|(name, _)| is_name(name)).ok_or(form)?;
        let value = value.trim_matches([' ', '\t']);
        if value.is_empty() {
            return Err(format!("{name} has no value: {form}"));
        }
        if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            return Err(
                "a value has printable ASCII only: no line ends, no NUL, no letters beyond ASCII".into()
            );
        }
        if line.len() > MAX_LINE {
            return Err(format!("a field has at most {MAX_LINE} bytes"));
        }
        let owned =
            OWNED.iter().find(|(names, _)| names.iter().any(|owned| name.eq_ignore_ascii_case(owned)));
        if let Some((_, why)) = owned {
            return Err(format!("{name} cannot be given: {why}"));
        }
        let glob = glob.map(Glob::parse).transpose()?;
        Ok(Self { glob, name: name.into(), value: value.into() })
    }

    /// Whether `--cors` writes this field.
    #[must_use]
    pub fn is_of_cors(&self) -> bool {
        self.name.to_ascii_lowercase().starts_with("access-control-")
    }
}

/// Whether this is the name of a field, a `token` (RFC 9110 §5.1).
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_tchar)
}

/// The directives of a response (IANA's registry), and whether they have a number of seconds.
const DIRECTIVES: [(&str, bool); 13] = [
    ("immutable", false),
    ("max-age", true),
    ("must-revalidate", false),
    ("must-understand", false),
    ("no-cache", false),
    ("no-store", false),
    ("no-transform", false),
    ("private", false),
    ("proxy-revalidate", false),
    ("public", false),
    ("s-maxage", true),
    ("stale-if-error", true),
    ("stale-while-revalidate", true),
];

impl CacheRule {
    /// Reads `GLOB=VALUE`, where the value is that of `Cache-Control`.
    ///
    /// # Errors
    /// What to give instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "give GLOB=VALUE, such as '/assets/**=immutable, max-age=31536000'";
        let (glob, value) = text.split_once('=').ok_or(form)?;
        // `max-age=60` alone is a value, and not a pattern with one.
        if DIRECTIVES.iter().any(|(name, _)| *name == glob) {
            return Err(form.into());
        }
        for directive in value.split(',') {
            let (name, argument) = match directive.trim().split_once('=') {
                Some((name, argument)) => (name, Some(argument)),
                None => (directive.trim(), None),
            };
            let known = DIRECTIVES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            match (known, argument) {
                (None, _) => {
                    let names = DIRECTIVES.map(|(name, _)| name).join(", ");
                    return Err(format!(
                        "{name:?} is no directive of Cache-Control: {form}; there are {names}"
                    ));
                }
                (Some((_, true)), Some(seconds)) if seconds.parse::<u32>().is_ok() => {}
                (Some((_, true)), _) => return Err(format!("{name} needs whole seconds, as in {name}=3600")),
                (Some((_, false)), None) => {}
                (Some((_, false)), Some(_)) => return Err(format!("{name} takes no value")),
            }
        }
        Ok(Self { glob: Glob::parse(glob)?, value: value.trim().into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_their_patterns() {
        let rule = |glob: Option<&str>, name: &str, value: &str| GivenField {
            glob: glob.map(|glob| Glob::parse(glob).expect("a pattern")),
            name: name.into(),
            value: value.into(),
        };
        for (text, want) in [
            ("X-Frame-Options: DENY", rule(None, "X-Frame-Options", "DENY")),
            ("X-A:b", rule(None, "X-A", "b")),
            ("X-A: b=c: d ", rule(None, "X-A", "b=c: d")),
            ("*.html=X-A: b", rule(Some("*.html"), "X-A", "b")),
            ("/assets/**=X-A: b=c", rule(Some("/assets/**"), "X-A", "b=c")),
            ("/a:b*=X-A: c", rule(Some("/a:b*"), "X-A", "c")),
            ("a b=X-A: c", rule(Some("a b"), "X-A", "c")),
        ] {
            assert_eq!(GivenField::parse(text), Ok(want), "{text}");
        }
        for (text, says) in [
            ("X-A", "give 'NAME: VALUE'"),
            ("X A: b", "give 'NAME: VALUE'"),
            (": b", "give 'NAME: VALUE'"),
            ("*.html=X A: b", "give 'NAME: VALUE'"),
            ("*.html=X-A", "give 'NAME: VALUE'"),
            ("X-A:  ", "no value"),
            ("=X-A: b", "pattern cannot be empty"),
            ("{a=X-A: b", "has no }"),
            ("X-A: b\r\nX-B: c", "printable ASCII"),
            ("X-A: b\0", "printable ASCII"),
            ("X-A: \u{e4}", "printable ASCII"),
            ("Content-Length: 5", "frames its messages"),
            ("transfer-encoding: chunked", "frames its messages"),
            ("*.html=Connection: close", "frames its messages"),
            ("Date: now", "where it belongs"),
            ("ETag: \"x\"", "derives it"),
            ("Vary: Cookie", "derives it"),
            ("Server: x", "--no-server-header"),
            ("Content-Type: text/html", "--mime-types"),
            ("Cache-Control: no-store", "--cache"),
        ] {
            let error = GivenField::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(GivenField::parse(&format!("X-A: {}", "b".repeat(MAX_LINE))).is_err());
    }

    #[test]
    fn values_for_caches() {
        for (text, value) in [
            ("/assets/**=immutable, max-age=31536000", "immutable, max-age=31536000"),
            ("*.html=no-cache", "no-cache"),
            ("*= Public , MAX-AGE=0 ", "Public , MAX-AGE=0"),
        ] {
            assert_eq!(CacheRule::parse(text).map(|rule| rule.value), Ok(value.into()), "{text}");
        }
        for (text, says) in [
            ("no-cache", "give GLOB=VALUE"),
            ("max-age=60", "give GLOB=VALUE"),
            ("*=", "no directive"),
            ("*=imutable", "no directive"),
            ("*=max-age", "whole seconds"),
            ("*=max-age=1y", "whole seconds"),
            ("*=no-store=1", "takes no value"),
            ("=no-store", "pattern cannot be empty"),
            ("*=no-store\r\nX-A: b", "no directive"),
        ] {
            let error = CacheRule::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
