//! One version of a file that is ready to be sent, and the responses with it: with parts of it, or without it (304, 412,
//! 416).

use std::cell::{Cell, OnceCell};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::conditional::{self, PreconditionOutcome, Validators, is_settled};
use super::content::Content;
use super::encoding::Coding;
use super::glob::PathNames;
use super::media_type::MediaType;
use super::multipart::Multipart;
use super::range::{self, ByteRange, RangeOutcome};
use super::root::{Lookup, Root};
use super::rules::Rules;
use crate::clock::{Instant, Now};
use crate::http1::{Body, Request, Response, Status};
use crate::sys::descriptor::Metadata;

/// A file, or its sibling in another encoding, with its field lines.
#[derive(Debug)]
pub(super) struct Document {
    /// What was looked up. The document is current as long as all of these find the same.
    lookups: Vec<Lookup>,
    /// When it was last current: the number of a received piece of input, and the turn of the loop.
    checked: Cell<(u64, Option<Instant>)>,
    /// Whether a later change would show in the time of the last one.
    is_settled: bool,
    pub(super) content: Content,
    varies: bool,
    /// Whether it is sent for paths that do not exist.
    is_fallback: bool,
    coding: Option<&'static Coding>,
    policy: Policy,
    /// Whether a response may need more than [`respond`] gives it: this is a sibling, or depends on the origin.
    is_special: bool,
    pub(super) validators: Validators,
    media_type: MediaType,
    /// Made for the first response that needs them.
    fields: OnceCell<Arc<[u8]>>,
    caching_fields: OnceCell<Arc<[u8]>>,
}

/// What a path led to.
#[derive(Debug)]
pub(super) struct Found {
    /// The path of the original, relative to the root.
    pub(super) path: PathBuf,
    pub(super) lookups: Vec<Lookup>,
    pub(super) metadata: Metadata,
    pub(super) content: Content,
    /// The type of the original, also for a sibling: that of the decoded content.
    pub(super) media_type: MediaType,
    /// The encoding of the sibling.
    pub(super) coding: Option<&'static Coding>,
    /// Whether other clients may get another encoding.
    pub(super) varies: bool,
}

/// What a document is made of.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) found: Found,
    pub(super) policy: Policy,
    /// Whether it is sent for paths that do not exist.
    pub(super) is_fallback: bool,
}

/// What the operator asks for in the responses with one file.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// The value of `Cache-Control`.
    cache_control: Option<String>,
    /// Further field lines, of errors as well.
    lines: Vec<u8>,
    /// Whether the response depends on `Origin`.
    by_origin: bool,
}

impl Policy {
    /// The policy for the file at `path`.
    pub(super) fn of(max_age: Option<u32>, rules: Option<&Rules>, path: &Path) -> Self {
        let default = max_age.map(|seconds| format!("max-age={seconds}"));
        let Some(rules) = rules else {
            return Self { cache_control: default, ..Self::default() };
        };
        let names = PathNames::of(path.as_os_str().as_bytes());
        let mut response = Response::new(Status::OK);
        rules.write_to(&mut response, Some(&names));
        Self {
            cache_control: rules.cache_control(&names).map(String::from).or(default),
            lines: response.fields().to_vec(),
            by_origin: rules.varies(),
        }
    }
}

impl Document {
    /// Makes the document; `hash` is that of a content that is not in memory, if it is known.
    ///
    /// Only browsers get the document of paths that do not exist, and only until there is something else: no cache may keep
    /// it without asking, whatever `--max-age` is.
    pub(super) fn new(draft: Draft, hash: Option<u64>, now: Now) -> Self {
        let Draft { found, policy, is_fallback } = draft;
        let Found { path: _, lookups, metadata, content, media_type, coding, varies } = found;
        let hash = content.hash().or(hash);
        Self {
            validators: Validators::of(&metadata, hash, coding.map(|coding| coding.token), now),
            media_type,
            is_settled: is_settled(metadata.changed, now.wall),
            checked: Cell::new((0, None)),
            lookups,
            content,
            is_special: coding.is_some() || policy.by_origin,
            coding,
            varies,
            policy,
            is_fallback,
            fields: OnceCell::new(),
            caching_fields: OnceCell::new(),
        }
    }

    /// Whether it is the document of paths that do not exist.
    pub(super) fn is_fallback(&self) -> bool {
        self.is_fallback
    }

    /// Whether its path still leads to this version. The answer holds for all requests of one received piece of input,
    /// which has the number `piece`, and for those that were here when a `turn` of the loop began.
    pub(super) fn is_current(&self, root: &Root, piece: u64, turn: Option<Instant>, now: Now) -> bool {
        let (checked_piece, checked_turn) = self.checked.get();
        checked_piece == piece || (turn.is_some() && checked_turn == turn) || {
            let is_current = self.lookups.iter().all(|lookup| root.still_finds(lookup));
            if is_current {
                self.checked.set((piece, Some(now.monotonic)));
            }
            is_current
        }
    }

    /// Whether [`Document::is_current`] would notice every change.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Whether this is a sibling in another encoding. No part of it is sent, since ranges are those of the original.
    pub(super) fn is_encoded(&self) -> bool {
        self.coding.is_some()
    }

    /// Whether [`respond`] alone is not enough.
    pub(super) fn is_special(&self) -> bool {
        self.is_special
    }

    /// The memory that the document uses, about.
    pub(super) fn weight(&self) -> usize {
        1024 + 3 * self.policy.lines.len() + self.content.weight()
    }

    /// The fields for caches, of every response about the file.
    fn write_caching_fields(&self, response: &mut Response) {
        self.validators.write_to(response);
        let varies = [
            (self.is_fallback, "Accept"),
            (self.varies, "Accept-Encoding"),
            (self.policy.by_origin, "Origin"),
        ];
        let varies: Vec<&str> =
            varies.into_iter().filter_map(|(is_so, name)| is_so.then_some(name)).collect();
        if !varies.is_empty() {
            response.field("Vary", varies.join(", "));
        }
        if self.is_fallback {
            response.field("Cache-Control", "no-cache");
        } else if let Some(value) = &self.policy.cache_control {
            response.field("Cache-Control", value);
        }
        response.field_lines(&self.policy.lines);
    }

    /// The fields of every response with content of the file.
    pub(super) fn write_fields(&self, response: &mut Response) {
        self.write_caching_fields(response);
        response.field("Accept-Ranges", "bytes");
        if let Some(token) = self.coding.map(|coding| coding.token).or(self.media_type.coding) {
            response.field("Content-Encoding", token);
        }
        if self.media_type.is_final && !response.has("X-Content-Type-Options") {
            response.field("X-Content-Type-Options", "nosniff");
        }
    }

    /// An error about the file.
    fn error(&self, status: Status) -> Response {
        let mut response = Response::error(status);
        response.field_lines(&self.policy.lines);
        if self.policy.by_origin {
            response.field("Vary", "Origin");
        }
        response
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
            response.field("Content-Type", &self.media_type.value);
            response.into_fields()
        };
        Arc::clone(self.fields.get_or_init(make))
    }
}

/// The response with a document, after its preconditions and ranges. (the seed's `send_head`)
pub(super) fn respond(request: &Request<'_>, document: &Document, now: Now) -> Response {
    match conditional::evaluate(request, &document.validators) {
        PreconditionOutcome::Failed => return document.error(Status::PRECONDITION_FAILED),
        PreconditionOutcome::NotModified => {
            return Response::with_shared_fields(Status::NOT_MODIFIED, document.caching_fields());
        }
        PreconditionOutcome::Send => {}
    }
    let ranges = match document.coding {
        None => range::evaluate(request, &document.validators, document.content.len()),
        Some(_) => RangeOutcome::Whole,
    };
    match ranges {
        RangeOutcome::Whole => {
            let mut response = Response::with_shared_fields(Status::OK, document.fields());
            response.body = document.content.whole(now);
            response
        }
        RangeOutcome::Parts(ranges) => parts(document, ranges, now),
        RangeOutcome::Unsatisfiable => {
            let mut response = document.error(Status::RANGE_NOT_SATISFIABLE);
            response.field("Content-Range", format_args!("bytes */{}", document.content.len()));
            response
        }
    }
}

/// As [`respond`], for a sibling in another encoding and for responses that depend on the origin. `original` is
/// there if `document` is its sibling and the request has a range.
///
/// Ranges are those of the original, because most clients continue a download of decoded bytes.
pub(super) fn respond_special(
    request: &Request<'_>,
    document: &Document,
    original: Option<&Document>,
    rules: Option<&Rules>,
    now: Now,
) -> Response {
    let part = original
        .filter(|original| range::is_of_original(request, &document.validators, &original.validators))
        .map(|original| respond(request, original, now))
        // The range is ignored, as if there were none.
        .filter(|response| response.status != Status::OK);
    let mut response = part.unwrap_or_else(|| respond(request, document, now));
    if let Some(rules) = rules {
        rules.allow_origin(request, &mut response);
    }
    response
}

fn parts(document: &Document, ranges: Vec<ByteRange>, now: Now) -> Response {
    let mut response = Response::new(Status::PARTIAL_CONTENT);
    document.write_fields(&mut response);
    match ranges[..] {
        [range] => {
            response.field("Content-Type", &document.media_type.value);
            response.field("Content-Range", format_args!("bytes {range}/{}", document.content.len()));
            response.body = document.content.part(range.first, range.len(), now).into();
        }
        _ => {
            let parts = Multipart::new(ranges, &document.media_type.value, document.content.clone(), now);
            response.field("Content-Type", parts.content_type());
            response.body = Body::Made(Box::new(parts));
        }
    }
    response
}
