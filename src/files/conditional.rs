//! Preconditions (RFC 9110 §13): whether the client's copy is still current.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::Now;
use crate::http1::{Request, Response};
use crate::sys::descriptor::{FileTime, Metadata};

/// A file that was modified less than this ago may be modified again with the same time: the clocks of file systems tick
/// every 4 to 10 ms, and a write that has begun moves the time before the bytes.
const TICK: Duration = Duration::from_millis(50);

/// The same for a time without a fraction: some file systems count in steps of one or two seconds.
const COARSE_TICK: Duration = Duration::from_secs(3);

/// Whether a later change would show in a time of the file that is `time` now.
pub(super) fn is_settled(time: FileTime, now: SystemTime) -> bool {
    let tick = if time.nanoseconds == 0 { COARSE_TICK } else { TICK };
    time.age(now).is_some_and(|age| age > tick)
}

/// The first second of 1986. Builds give one date to all files: 1970-01-01 (Nix, images), 1980-01-01 (zip, Gradle), 1985-10-26
/// (npm), which is older than what is served.
const FIRST_TELLING: i64 = 504_921_600;

/// The first second of 2000, which Bazel writes.
const BAZEL: i64 = 946_684_800;

/// Whether a time tells the versions of a file apart.
pub(super) fn is_telling(time: FileTime) -> bool {
    time.seconds >= FIRST_TELLING && time.seconds != BAZEL
}

/// The time that shows a change of the file: that of its content, unless that is one of a build.
pub(super) fn telling_time(metadata: &Metadata) -> FileTime {
    if is_telling(metadata.modified) { metadata.modified } else { metadata.changed }
}

/// The validators of a file (RFC 9110 §8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    /// The entity tag, quotes included.
    etag: Option<String>,
    /// To the second, and never later than now (RFC 9110 §8.8.2.1).
    last_modified: Option<SystemTime>,
    /// The date is none that builds give to all versions.
    is_date_telling: bool,
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
    /// The validators of a file. `hash` is that of its content, if it is known; `coding` distinguishes the encodings of one
    /// file, even links to the same inode.
    ///
    /// The tag is that of the content, or of size and modification time: replicas of a file have the same. Container images
    /// and build systems give all their files one date, which identifies none, so the content of a large file is hashed, too
    /// (`content_tag`). Without a hash, because such a file is too large or too slow for that or changes without a pause, its
    /// tag is of the time of the last change, which no call can set, and of the inode: those of one machine. A tag is weak, and
    /// matches none, as long as a later change could have the same, and where the file system has no time of the last change.
    /// The first seconds of 1970 are no `Last-Modified`.
    pub(super) fn of(metadata: &Metadata, hash: Option<u64>, coding: Option<&str>, now: Now) -> Self {
        let Metadata { modified, changed, size, .. } = *metadata;
        let (has_date, is_date_telling) = (modified.seconds > 1, is_telling(modified));
        let telling = telling_time(metadata);
        let nanoseconds =
            |time: FileTime| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
        let mut etag = String::with_capacity(48);
        // Writing into a String cannot fail.
        let _ = match hash {
            Some(hash) => write!(etag, "\"{hash:016x}-{size:x}"),
            None if !is_settled(telling, now.wall) || !is_telling(telling) => {
                write!(etag, "W/\"{:x}-{size:x}", nanoseconds(changed))
            }
            None if is_date_telling => write!(etag, "\"{:x}-{size:x}", nanoseconds(modified)),
            None => write!(etag, "\"{:x}-{size:x}-{:x}", nanoseconds(changed), metadata.inode),
        };
        if let Some(coding) = coding {
            etag.push('-');
            etag.push_str(coding);
        }
        etag.push('"');
        let last_modified = has_date.then(|| to_seconds(modified.to_system().min(now.wall)));
        Self { etag: Some(etag), last_modified, is_date_telling }
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
            Some(date) => self.is_date_telling && self.last_modified == Some(date),
            None => self.matches(value),
        }
    }

    /// Whether this is the tag of the file; a weak one is that of no version.
    fn matches(&self, tag: &[u8]) -> bool {
        self.etag.as_deref().is_some_and(|etag| etag.as_bytes() == tag && !tag.starts_with(b"W/"))
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
// It has two callers, and is part of every response with a file.
#[inline(always)]
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
        validators.matches(weak.unwrap_or(tag))
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

    fn metadata(seconds: i64) -> Metadata {
        Metadata {
            kind: crate::sys::descriptor::FileKind::Regular,
            size: 5,
            inode: 7,
            device: 1,
            links: 1,
            changed: FileTime { seconds: 1_500_000_000, nanoseconds: 5 },
            modified: FileTime { seconds, nanoseconds: 123_456_789 },
        }
    }

    #[test]
    fn validators_of_odd_times() {
        let now = Now::ask();
        for early in [i64::MIN, -1, 0, 1] {
            let validators = Validators::of(&metadata(early), None, None, now);
            assert_eq!(validators.etag.as_deref(), Some("\"14d1120d7b160005-5-7\""));
            assert_eq!(validators.last_modified, None, "{early}");
            let fresh =
                Metadata { changed: FileTime { seconds: i64::MAX, nanoseconds: 5 }, ..metadata(early) };
            let fresh = Validators::of(&fresh, None, None, now);
            assert_eq!(fresh.etag.as_deref(), Some("W/\"1dcd64ffffffffffc4653605-5\""));
        }
        for late in [i64::MAX, i64::from(u32::MAX) * 100] {
            let validators = Validators::of(&metadata(late), None, None, now);
            assert_eq!(validators.last_modified, Some(to_seconds(now.wall)), "never later than now");
            assert!(validators.etag.is_some_and(|etag| etag.starts_with("W/")));
        }
        let etag = |hash, coding| Validators::of(&metadata(1_000_000_000), hash, coding, now).etag;
        assert_eq!(etag(None, None).as_deref(), Some("\"de0b6b3aebfcd15-5\""));
        assert_eq!(etag(None, Some("br")).as_deref(), Some("\"de0b6b3aebfcd15-5-br\""));
        assert_eq!(etag(Some(0xab), Some("gzip")).as_deref(), Some("\"00000000000000ab-5-gzip\""));
    }

    /// A change within the same tick of the clock could have the same tag.
    #[test]
    fn a_tag_of_a_file_that_may_still_change_matches_nothing() {
        let now = Now { wall: UNIX_EPOCH + Duration::new(1_000_000_000, 130_000_000), ..Now::ask() };
        let fresh = Validators::of(&metadata(1_000_000_000), None, None, now);
        let tag = fresh.etag.clone().expect("a tag");
        assert!(tag.starts_with("W/") && !fresh.matches_if_range(tag.as_bytes()));
        for comparison in [Comparison::Weak, Comparison::Strong] {
            assert!(!any_tag([tag.as_bytes()].into_iter(), &fresh, comparison));
            assert!(any_tag([&b"*"[..]].into_iter(), &fresh, comparison));
        }
        assert!(is_settled(FileTime { seconds: 999_999_996, nanoseconds: 0 }, now.wall));
        assert!(!is_settled(FileTime { seconds: 999_999_998, nanoseconds: 0 }, now.wall));
        assert!(is_settled(FileTime { seconds: 999_999_998, nanoseconds: 1 }, now.wall));
    }
}
