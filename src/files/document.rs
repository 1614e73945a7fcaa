//! A file that is ready to be sent, and the responses with it: with parts of it, or without it (304, 412, 416).

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use super::conditional::{self, PreconditionOutcome, Validators};
use super::encoding::Coding;
use super::media_type::MediaType;
use super::multipart::Multipart;
use super::path::File;
use super::range::{self, ByteRange, RangeOutcome};
use crate::chat::FileSlice;
use crate::clock::Now;
use crate::http1::{Body, Request, Response, Status};
use crate::sys::descriptor::Metadata;

/// A file that changed less than this before it was opened may change again with the same times: the clocks of file
/// systems tick every 4 to 10 ms.
const TICK: Duration = Duration::from_millis(50);

/// A file, or its sibling in another encoding, with its field lines.
#[derive(Debug)]
pub(super) struct Document {
    metadata: Metadata,
    /// The whole file.
    pub(super) slice: FileSlice,
    /// The encoding of the sibling.
    coding: Option<&'static Coding>,
    /// Whether other clients may get another encoding.
    varies: bool,
    max_age: Option<u32>,
    pub(super) validators: Validators,
    /// The type of the original, also for a sibling: that of the decoded content.
    media_type: MediaType,
    /// Whether the last change was at least [`TICK`] before the file was opened.
    settled: bool,
    /// Made for the first response that needs them.
    fields: OnceCell<Arc<[u8]>>,
    caching_fields: OnceCell<Arc<[u8]>>,
    content: OnceCell<Option<Arc<[u8]>>>,
}

impl Document {
    pub(super) fn new(
        media_type: MediaType,
        file: File,
        coding: Option<&'static Coding>,
        varies: bool,
        max_age: Option<u32>,
        now: Now,
    ) -> Self {
        let File { metadata, slice } = file;
        Self {
            validators: Validators::of(&metadata, coding.map(|coding| coding.token), now),
            media_type,
            settled: metadata.changed + TICK < now.wall,
            metadata,
            slice,
            coding,
            varies,
            max_age,
            fields: OnceCell::new(),
            caching_fields: OnceCell::new(),
            content: OnceCell::new(),
        }
    }

    /// Whether `found`, opened later, is the same unchanged file, so that this document is still valid.
    pub(super) fn is_still(&self, found: &Self) -> bool {
        self.settled
            && self.metadata == found.metadata
            && self.coding == found.coding
            && self.varies == found.varies
    }

    /// Whether this is a sibling in another encoding. No part of it is sent, since ranges are those of the original.
    pub(super) fn is_encoded(&self) -> bool {
        self.coding.is_some()
    }

    pub(super) fn size(&self) -> u64 {
        self.slice.len
    }

    /// The memory that the document uses, about.
    pub(super) fn weight(&self) -> usize {
        let content = usize::try_from(self.size()).ok().filter(|_| self.slice.len <= File::SMALL);
        1024 + content.unwrap_or(0)
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

    /// The body: the bytes of a small file, which leave together with the head, or the file itself.
    pub(super) fn body(&self) -> Body {
        match self.content.get_or_init(|| File::read_small(&self.slice)) {
            Some(bytes) => Body::Shared(Arc::clone(bytes)),
            None => Body::File(self.slice.clone()),
        }
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
        None => range::evaluate(request, &document.validators, document.size()),
        Some(_) => RangeOutcome::Whole,
    };
    match ranges {
        RangeOutcome::Whole => {
            let mut response = Response::with_shared_fields(Status::OK, document.fields());
            response.body = document.body();
            response
        }
        RangeOutcome::Parts(ranges) => parts(document, ranges, now),
        RangeOutcome::Unsatisfiable => {
            let mut response = Response::error(Status::RANGE_NOT_SATISFIABLE);
            response.field("Content-Range", format_args!("bytes */{}", document.size()));
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
            response.field("Content-Range", format_args!("bytes {range}/{}", document.size()));
            response.body = Body::File(document.slice.slice(range.first, range.len()));
        }
        _ => {
            let parts = Multipart::new(ranges, &document.media_type.value, &document.slice, now);
            response.field("Content-Type", parts.content_type());
            response.body = Body::Made(Box::new(parts));
        }
    }
    response
}
