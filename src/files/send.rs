//! The answer with a file, or with a part of it, or that the client has it already; and the one with a page.

use super::INDEX;
use super::conditional::{self, Validators, Verdict};
use super::encoding::Coding;
use super::open::File;
use super::page::Page;
use super::path::Wanted;
use super::{mime, range};
use crate::clock::Now;
use crate::http1::{Body, Request, Response, Status};

/// What is sent for a file.
#[derive(Debug)]
pub(super) struct Representation {
    /// The file itself, or its sibling.
    pub(super) file: File,
    /// The encoding of the sibling.
    pub(super) coding: Option<&'static Coding>,
    /// Whether another client may be sent another one.
    pub(super) varies: bool,
}

/// What caches are told of a representation, in every answer about it.
struct Caching {
    validators: Validators,
    varies: bool,
    max_age: Option<u32>,
}

impl Caching {
    fn write_to(&self, response: &mut Response) {
        self.validators.write_to(response);
        if self.varies {
            response.field("Vary", "Accept-Encoding");
        }
        if let Some(seconds) = self.max_age {
            response.field("Cache-Control", format_args!("max-age={seconds}"));
        }
    }
}

/// The file, or as much of it as is asked for, or that the client has it already. (the seed's `send_head`)
pub(super) fn file(
    request: &Request<'_>,
    wanted: &Wanted,
    representation: Representation,
    max_age: Option<u32>,
    now: Now,
) -> Response {
    let Representation { file, coding, varies } = representation;
    let validators = Validators::of(&file.facts, coding.map(|coding| coding.token), now);
    let caching = Caching { validators, varies, max_age };
    match conditional::evaluate(request, &caching.validators) {
        Verdict::Failed => return Response::error(Status::PRECONDITION_FAILED),
        Verdict::NotModified => {
            let mut response = Response::new(Status::NOT_MODIFIED);
            caching.write_to(&mut response);
            return response;
        }
        Verdict::Send => {}
    }
    let size = file.slice.len;
    let ranges = match range::wanted(request, &caching.validators, size) {
        range::Wanted::Whole => Vec::new(),
        range::Wanted::Parts(ranges) => ranges,
        range::Wanted::Unsatisfiable => {
            let mut response = Response::error(Status::RANGE_NOT_SATISFIABLE);
            response.field("Content-Range", format_args!("bytes */{size}"));
            return response;
        }
    };
    let status = if ranges.is_empty() { Status::OK } else { Status::PARTIAL_CONTENT };
    let mut response = Response::new(status);
    caching.write_to(&mut response);
    response.field("Accept-Ranges", "bytes");
    if let Some(coding) = coding {
        response.field("Content-Encoding", coding.token);
    }
    // Of the original's name also when a sibling is sent: the type is that of what comes out.
    let content_type = mime::content_type(&wanted.name(INDEX));
    match ranges.as_slice() {
        [] => {
            response.field("Content-Type", &content_type);
            response.body = file.into_body();
        }
        [range] => {
            response.field("Content-Type", &content_type);
            response.field("Content-Range", format_args!("bytes {range}/{size}"));
            response.body = Body::File(file.slice.slice(range.first, range.len()));
        }
        several => range::write_multipart(several, &content_type, &file.slice, now, &mut response),
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
