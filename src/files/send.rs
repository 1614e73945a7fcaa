//! Responses with a file, with parts of it, without it (304, 412, 416), and with a listing.

use super::conditional::{self, PreconditionOutcome, Validators};
use super::document::Document;
use super::page::Page;
use super::range::{self, ByteRange, RangeOutcome};
use crate::clock::Now;
use crate::http1::{Body, Request, Response, Status};

/// The response with a document, after its preconditions and ranges. (the seed's `send_head`)
pub(super) fn document(request: &Request<'_>, document: &Document, now: Now) -> Response {
    match conditional::evaluate(request, &document.validators) {
        PreconditionOutcome::Failed => return Response::error(Status::PRECONDITION_FAILED),
        PreconditionOutcome::NotModified => {
            return Response::with_shared_fields(Status::NOT_MODIFIED, document.caching_fields());
        }
        PreconditionOutcome::Send => {}
    }
    match range::evaluate(request, &document.validators, document.size()) {
        RangeOutcome::Whole => {
            let mut response = Response::with_shared_fields(Status::OK, document.fields());
            response.body = document.body();
            response
        }
        RangeOutcome::Parts(ranges) => parts(document, &ranges, now),
        RangeOutcome::Unsatisfiable => {
            let mut response = Response::error(Status::RANGE_NOT_SATISFIABLE);
            response.field("Content-Range", format_args!("bytes */{}", document.size()));
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
            response.field("Content-Range", format_args!("bytes {range}/{}", document.size()));
            response.body = Body::File(document.slice.slice(range.first, range.len()));
        }
        several => {
            range::write_multipart(several, &document.content_type, &document.slice, now, &mut response);
        }
    }
    response
}

/// The response with a listing. A directory changes without notice, so it has no validators, and caches must ask again.
pub(super) fn listing(request: &Request<'_>, page: Page) -> Response {
    match conditional::evaluate(request, &Validators::default()) {
        PreconditionOutcome::Failed => return Response::error(Status::PRECONDITION_FAILED),
        PreconditionOutcome::NotModified => return Response::new(Status::NOT_MODIFIED),
        PreconditionOutcome::Send => {}
    }
    let mut response = Response::new(Status::OK);
    response.field("Content-Type", "text/html; charset=utf-8");
    response.field("Cache-Control", "no-cache");
    // The names may come from strangers. If one got through the escaping, it could still not run or load anything.
    response.field("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    response.body = Body::Made(Box::new(page));
    response
}
