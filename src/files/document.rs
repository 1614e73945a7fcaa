//! One version of a file that is ready to be sent, and the responses with it: with parts of it, or without it (304, 412,
//! 416).

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::conditional::{self, PreconditionOutcome, Validators, is_settled};
use super::content::Content;
use super::encoding::Coding;
use super::media_type::MediaType;
use super::multipart::Multipart;
use super::range::{self, ByteRange, RangeOutcome};
use super::root::{Lookup, Root};
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
    max_age: Option<u32>,
    pub(super) validators: Validators,
    media_type: MediaType,
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
    /// The type of the original, also for a sibling: that of the decoded content.
    pub(super) media_type: MediaType,
    /// The encoding of the sibling.
    pub(super) coding: Option<&'static Coding>,
    /// Whether other clients may get another encoding.
    pub(super) varies: bool,
}

impl Document {
    pub(super) fn new(found: Found, max_age: Option<u32>, now: Now) -> Self {
        let Found { lookups, metadata, content, media_type, coding, varies } = found;
        Self {
            validators: Validators::of(&metadata, content.hash(), coding.map(|coding| coding.token), now),
            media_type,
            is_settled: is_settled(metadata.changed, now.wall),
            checked: Cell::new((0, None)),
            lookups,
            content,
            coding,
            varies,
            is_fallback: false,
            max_age,
            fields: OnceCell::new(),
            caching_fields: OnceCell::new(),
        }
    }

    /// The same document for paths that do not exist. Only browsers get it there, and only until there is something else:
    /// no cache may keep it without asking, whatever `--max-age` is.
    pub(super) fn into_fallback(self) -> Self {
        Self { is_fallback: true, ..self }
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

    /// The memory that the document uses, about.
    pub(super) fn weight(&self) -> usize {
        1024 + self.content.weight()
    }

    /// The fields for caches, of every response about the file.
    fn write_caching_fields(&self, response: &mut Response) {
        self.validators.write_to(response);
        match (self.is_fallback, self.varies) {
            (true, true) => response.field("Vary", "Accept, Accept-Encoding"),
            (true, false) => response.field("Vary", "Accept"),
            (false, true) => response.field("Vary", "Accept-Encoding"),
            (false, false) => {}
        }
        if self.is_fallback {
            response.field("Cache-Control", "no-cache");
        } else if let Some(seconds) = self.max_age {
            response.field("Cache-Control", format_args!("max-age={seconds}"));
        }
    }

    /// The fields of every response with content of the file.
    pub(super) fn write_fields(&self, response: &mut Response) {
        self.write_caching_fields(response);
        response.field("Accept-Ranges", "bytes");
        if let Some(token) = self.coding.map(|coding| coding.token).or(self.media_type.coding) {
            response.field("Content-Encoding", token);
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
            response.field("Content-Type", &self.media_type.value);
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
            let mut response = Response::error(Status::RANGE_NOT_SATISFIABLE);
            response.field("Content-Range", format_args!("bytes */{}", document.content.len()));
            response
        }
    }
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
