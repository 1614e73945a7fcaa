//! The answer with a file, or with a part of it, or that the client has it already; and the one with a page.

use super::conditional::{self, Validators, Verdict};
use super::document::Document;
use super::page::Page;
use super::range;
use crate::clock::Now;
use crate::http1::{Body, Request, Response, Status};

/// The file, or as much of it as is asked for, or that the client has it already. (the seed's `send_head`)
pub(super) fn document(request: &Request<'_>, document: &Document, now: Now) -> Response {
    match conditional::evaluate(request, &document.validators) {
        Verdict::Failed => return Response::error(Status::PRECONDITION_FAILED),
        Verdict::NotModified => {
            return Response::with_shared_fields(Status::NOT_MODIFIED, document.caching_fields());
        }
        Verdict::Send => {}
    }
    match range::wanted(request, &document.validators, document.size()) {
        range::Wanted::Whole => {
            let mut response = Response::with_shared_fields(Status::OK, document.fields());
            response.body = document.body();
            response
        }
        range::Wanted::Parts(ranges) => parts(document, &ranges, now),
        range::Wanted::Unsatisfiable => {
            let mut response = Response::error(Status::RANGE_NOT_SATISFIABLE);
            response.field("Content-Range", format_args!("bytes */{}", document.size()));
            response
        }
    }
}

fn parts(document: &Document, ranges: &[range::ByteRange], now: Now) -> Response {
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

/// A list of a directory. It changes without telling, so it has no validators and is asked for anew each time.
pub(super) fn listing(request: &Request<'_>, page: Page) -> Response {
    match conditional::evaluate(request, &Validators::default()) {
        Verdict::Failed => return Response::error(Status::PRECONDITION_FAILED),
        Verdict::NotModified => return Response::new(Status::NOT_MODIFIED),
        Verdict::Send => {}
    }
    let mut response = Response::new(Status::OK);
    response.field("Content-Type", "text/html; charset=utf-8");
    response.field("Cache-Control", "no-cache");
    // The names are other people's. If one of them ever got through the escaping, it would still be nothing
    // that runs or loads.
    response.field("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    response.body = Body::Made(Box::new(page));
    response
}
