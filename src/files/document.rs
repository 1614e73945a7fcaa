//! One version of a file that is ready to be sent, and the responses with it: with parts of it, or without it (304, 412,
//! 416).

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use super::conditional::{self, PreconditionOutcome, Validators, is_settled};
use super::content::Content;
use super::encoding::Coding;
use super::path::ResolvedPath;
use super::range::{self, ByteRange, RangeOutcome};
use super::root::{Lookup, Root};
use crate::clock::Now;
use crate::http1::{Request, Response, Status};
use crate::sys::descriptor::Metadata;

/// A file, or its sibling in another encoding, with its field lines.
#[derive(Debug)]
pub(super) struct Document {
    /// What was looked up. The document is current as long as all of these find the same.
    lookups: Vec<Lookup>,
    /// The number of the last received piece of input at which it was current.
    checked: Cell<u64>,
    /// Whether a later change would show in the time of the last one.
    is_settled: bool,
    pub(super) content: Content,
    varies: bool,
    coding: Option<&'static Coding>,
    max_age: Option<u32>,
    pub(super) validators: Validators,
    /// The type of the original, also for a sibling: that of the decoded content.
    pub(super) content_type: Cow<'static, str>,
    /// Made for the first response that needs them.
    fields: OnceCell<Arc<[u8]>>,
    caching_fields: OnceCell<Arc<[u8]>>,
}

/// What a path led to.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) lookups: Vec<Lookup>,
    pub(super) metadata: Metadata,
    pub(super) content: Content,
    /// The encoding of the sibling.
    pub(super) coding: Option<&'static Coding>,
    /// Whether other clients may get another encoding.
    pub(super) varies: bool,
}

impl Document {
    pub(super) fn new(path: &ResolvedPath, found: Found, max_age: Option<u32>, now: Now) -> Self {
        let Found { lookups, metadata, content, coding, varies } = found;
        Self {
            validators: Validators::of(&metadata, content.hash(), coding.map(|coding| coding.token), now),
            content_type: content_type(path.name()),
            is_settled: is_settled(metadata.changed, now.wall),
            checked: Cell::new(0),
            lookups,
            content,
            coding,
            varies,
            max_age,
            fields: OnceCell::new(),
            caching_fields: OnceCell::new(),
        }
    }

    /// Whether its path still leads to this version. The answer holds for all requests of one received piece of input,
    /// which has the number `piece`.
    pub(super) fn is_current(&self, root: &Root, piece: u64) -> bool {
        self.checked.get() == piece || {
            let is_current = self.lookups.iter().all(|lookup| root.still_finds(lookup));
            if is_current {
                self.checked.set(piece);
            }
            is_current
        }
    }

    /// Whether [`Document::is_current`] would notice every change.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The memory that the document uses, about.
    pub(super) fn weight(&self) -> usize {
        1024 + self.content.weight()
    }

    /// The fields for caches, of every response about the file.
    fn write_caching_fields(&self, response: &mut Response) {
        self.validators.write_to(response);
        if self.varies {
            response.field("Vary", "Accept-Encoding");
        }
        if let Some(seconds) = self.max_age {
            response.field("Cache-Control", format_args!("max-age={seconds}"));
        }
    }

    /// The fields of every response with content of the file.
    pub(super) fn write_fields(&self, response: &mut Response) {
        self.write_caching_fields(response);
        response.field("Accept-Ranges", "bytes");
        if let Some(coding) = self.coding {
            response.field("Content-Encoding", coding.token);
        }
    }

    /// The field lines of a 304.
    pub(super) fn caching_fields(&self) -> Arc<[u8]> {
        let make = || {
            let mut response = Response::new(Status::NOT_MODIFIED);
            self.write_caching_fields(&mut response);
            response.into_fields()
        };
        Arc::clone(self.caching_fields.get_or_init(make))
    }

    /// The field lines of a 200.
    pub(super) fn fields(&self) -> Arc<[u8]> {
        let make = || {
            let mut response = Response::new(Status::OK);
            self.write_fields(&mut response);
            response.field("Content-Type", &self.content_type);
            response.into_fields()
        };
        Arc::clone(self.fields.get_or_init(make))
    }
}

/// The response with a document, after its preconditions and ranges. (the seed's `send_head`)
pub(super) fn respond(request: &Request<'_>, document: &Document, now: Now) -> Response {
    match conditional::evaluate(request, &document.validators) {
        PreconditionOutcome::Failed => return Response::error(Status::PRECONDITION_FAILED),
        PreconditionOutcome::NotModified => {
            return Response::with_shared_fields(Status::NOT_MODIFIED, document.caching_fields());
        }
        PreconditionOutcome::Send => {}
    }
    match range::evaluate(request, &document.validators, document.content.len()) {
        RangeOutcome::Whole => {
            let mut response = Response::with_shared_fields(Status::OK, document.fields());
            response.body = document.content.whole(now);
            response
        }
        RangeOutcome::Parts(ranges) => parts(document, &ranges, now),
        RangeOutcome::Unsatisfiable => {
            let mut response = Response::error(Status::RANGE_NOT_SATISFIABLE);
            response.field("Content-Range", format_args!("bytes */{}", document.content.len()));
            response
        }
    }
}

fn parts(document: &Document, ranges: &[ByteRange], now: Now) -> Response {
    let mut response = Response::new(Status::PARTIAL_CONTENT);
    document.write_fields(&mut response);
    match ranges {
        [range] => {
            response.field("Content-Type", &document.content_type);
            response.field("Content-Range", format_args!("bytes {range}/{}", document.content.len()));
            response.body = document.content.part(range.first, range.len(), now).into();
        }
        several => {
            range::write_multipart(several, &document.content_type, &document.content, now, &mut response);
        }
    }
    response
}

/// The type of a file with an unknown extension.
const UNKNOWN: &str = "application/octet-stream";

/// Types that differ from those of `mime_guess`.
const OVERRIDES: &[(&str, &str)] =
    &[("js", "text/javascript"), ("mjs", "text/javascript"), ("swf", "application/x-shockwave-flash")];

/// Types that declare their charset in the file, or have one by definition.
const BARE: [&str; 3] = ["text/html", "text/css", "text/javascript"];

/// The value of `Content-Type` for a file of this name.
pub(super) fn content_type(name: &OsStr) -> Cow<'static, str> {
    let Some(extension) = Path::new(name).extension().and_then(OsStr::to_str) else {
        return UNKNOWN.into();
    };
    let known = OVERRIDES.iter().find(|(this, _)| extension.eq_ignore_ascii_case(this));
    let media_type = match known {
        Some((_, media_type)) => media_type,
        None => mime_guess::from_ext(extension).first_raw().unwrap_or(UNKNOWN),
    };
    if media_type.starts_with("text/") && !BARE.contains(&media_type) {
        return format!("{media_type}; charset=utf-8").into();
    }
    media_type.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEED §3 and RULES §0 name exactly these types.
    #[test]
    fn types() {
        for (want, names) in [
            ("text/html", "a.html a.htm"),
            ("text/css", "a.css"),
            ("text/javascript", "a.js a.MJS"),
            ("image/jpeg", "a.jpg a.jpeg a.JPG"),
            ("image/png", "a.png"),
            ("image/gif", "a.gif"),
            ("image/svg+xml", "a.svg"),
            ("application/x-shockwave-flash", "a.swf"),
            ("text/plain; charset=utf-8", "a.txt text..txt"),
            ("text/markdown; charset=utf-8", "a.md"),
            ("application/json", "a.json"),
            ("application/wasm", "a.wasm"),
            (UNKNOWN, "a.nothing-known a a."),
        ] {
            for name in names.split(' ') {
                assert_eq!(content_type(OsStr::new(name)), want, "{name}");
            }
        }
    }
}
