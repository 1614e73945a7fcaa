//! Preconditions (RFC 9110 §13): whether the client's copy is still current.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::Now;
use crate::http1::{Request, Response};
use crate::sys::descriptor::Metadata;

/// The validators of a file (RFC 9110 §8.8). Both are missing for a file from 1970: container images and build systems
/// give that date to all their files, so it identifies none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    /// The entity tag, quotes included. It is strong: it changes with every change that fstat(2) shows.
    etag: Option<String>,
    /// To the second, and never later than now (RFC 9110 §8.8.2.1).
    last_modified: Option<SystemTime>,
}

/// The result of a request's preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PreconditionOutcome {
    /// All hold: send the file.
    Send,
    /// 304: the client has the current file.
    NotModified,
    /// 412: the file is not the one that the client requires.
    Failed,
}

impl Validators {
    /// The validators of a file. `coding` distinguishes the encodings of one file, even links to the same inode.
    pub(super) fn of(metadata: &Metadata, coding: Option<&str>, now: Now) -> Self {
        let since_epoch = metadata.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since_epoch <= Duration::from_secs(1) {
            return Self::default();
        }
        let mut etag = String::with_capacity(40);
        // Writing into a String cannot fail.
        let _ = write!(etag, "\"{:x}-{:x}-{:x}", since_epoch.as_nanos(), metadata.size, metadata.inode);
        if let Some(coding) = coding {
            etag.push('-');
            etag.push_str(coding);
        }
        etag.push('"');
        Self { etag: Some(etag), last_modified: Some(to_seconds(metadata.modified.min(now.wall))) }
    }

    /// Adds `ETag` and `Last-Modified`.
    pub(super) fn write_to(&self, response: &mut Response) {
        if let Some(etag) = &self.etag {
            response.field("ETag", etag);
        }
        if let Some(modified) = self.last_modified {
            response.field("Last-Modified", httpdate::HttpDate::from(modified));
        }
    }

    /// Whether `If-Range` (RFC 9110 §13.1.5) has the strong tag or the exact date of this file.
    pub(super) fn matches_if_range(&self, value: &[u8]) -> bool {
        match parse_date(value) {
            Some(date) => self.last_modified == Some(date),
            None => self.etag.as_deref().is_some_and(|etag| etag.as_bytes() == value),
        }
    }

    fn modified_after(&self, date: SystemTime) -> Option<bool> {
        self.last_modified.map(|modified| modified > date)
    }
}

fn to_seconds(time: SystemTime) -> SystemTime {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Parses a date; an invalid one is ignored (RFC 9110 §13.1.3).
fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

/// Evaluates the preconditions of GET and HEAD in the order of RFC 9110 §13.2.2.
pub(super) fn evaluate(request: &Request<'_>, validators: &Validators) -> PreconditionOutcome {
    let fields = request.fields;
    let date = |name| fields.single(name).and_then(parse_date);
    if fields.get("If-Match").is_some() {
        if !any_tag(fields.all("If-Match"), validators, Comparison::Strong) {
            return PreconditionOutcome::Failed;
        }
    } else if let Some(date) = date("If-Unmodified-Since")
        && validators.modified_after(date) == Some(true)
    {
        return PreconditionOutcome::Failed;
    }
    if fields.get("If-None-Match").is_some() {
        if any_tag(fields.all("If-None-Match"), validators, Comparison::Weak) {
            return PreconditionOutcome::NotModified;
        }
    } else if let Some(date) = date("If-Modified-Since")
        && validators.modified_after(date) == Some(false)
    {
        return PreconditionOutcome::NotModified;
    }
    PreconditionOutcome::Send
}

/// How entity tags are compared (RFC 9110 §8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// A weak tag equals no tag.
    Strong,
    /// `W/` is ignored.
    Weak,
}

/// Whether a list of tags, over any number of lines, contains the tag of `validators`. `*` matches any file.
fn any_tag<'a>(
    mut lines: impl Iterator<Item = &'a [u8]>,
    validators: &Validators,
    comparison: Comparison,
) -> bool {
    let matches = |tag: &[u8]| {
        let weak = tag.strip_prefix(b"W/").filter(|_| comparison == Comparison::Weak);
        // The tag of a file is strong, so it never equals one that keeps its `W/`.
        validators.etag.as_deref().is_some_and(|etag| etag.as_bytes() == weak.unwrap_or(tag))
    };
    lines.any(|line| line == b"*" || tags(line).any(matches))
}

/// The `entity-tag`s of a line, between any number of commas and spaces. A tag may contain a comma, so this does not
/// split at commas. The first thing that is no tag ends the list.
fn tags(mut line: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', rest @ ..] = line {
            line = rest;
        }
        let prefix = if line.starts_with(b"W/\"") { 3 } else { usize::from(line.starts_with(b"\"")) };
        if prefix == 0 {
            return None;
        }
        let length = prefix + memchr::memchr(b'"', &line[prefix..])? + 1;
        let (tag, rest) = line.split_at(length);
        line = rest;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags() {
        let tags = |line: &'static str| -> Vec<&str> {
            tags(line.as_bytes()).map(|tag| std::str::from_utf8(tag).expect("ASCII")).collect()
        };
        assert_eq!(tags(r#""a", W/"b,c" ,,"d""#), [r#""a""#, r#"W/"b,c""#, r#""d""#]);
        assert_eq!(tags(r#""a", b, "c""#), [r#""a""#]);
        assert_eq!(tags(r#""a"#), [""; 0]);
        assert_eq!(tags(""), [""; 0]);
    }

    fn metadata(seconds: u64) -> Metadata {
        Metadata {
            kind: crate::sys::descriptor::FileKind::Regular,
            size: 5,
            inode: 7,
            device: 1,
            changed: UNIX_EPOCH,
            modified: UNIX_EPOCH + Duration::new(seconds, 123_456_789),
        }
    }

    #[test]
    fn validators_of_odd_times() {
        let now = Now::ask();
        assert_eq!(Validators::of(&metadata(0), None, now), Validators::default());
        let future = Validators::of(&metadata(u64::from(u32::MAX) * 100), None, now);
        assert_eq!(future.last_modified, Some(to_seconds(now.wall)), "never later than now");
        let etag = |coding| Validators::of(&metadata(1_000_000_000), coding, now).etag;
        assert_eq!(etag(None).as_deref(), Some("\"de0b6b3aebfcd15-5-7\""));
        assert_eq!(etag(Some("br")).as_deref(), Some("\"de0b6b3aebfcd15-5-7-br\""));
    }
}
