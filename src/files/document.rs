//! What a path leads to, made ready to be sent: all that is the same for every request for it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use super::INDEX;
use super::conditional::Validators;
use super::encoding::Coding;
use super::mime;
use super::open::File;
use super::path::Wanted;
use crate::chat::FileSlice;
use crate::clock::Now;
use crate::http1::{Body, Response, Status};
use crate::sys::descriptor::Facts;

/// A change this short before a look may be followed by another that leaves the same times behind: clocks of
/// file systems tick every 4 to 10 ms.
const TICK: Duration = Duration::from_millis(50);

/// A file to be sent, or its sibling in another encoding.
#[derive(Debug)]
pub(super) struct Document {
    facts: Facts,
    /// All of it.
    pub(super) slice: FileSlice,
    /// The encoding of the sibling.
    coding: Option<&'static Coding>,
    /// Whether another client may be sent another one.
    varies: bool,
    max_age: Option<u32>,
    pub(super) validators: Validators,
    /// Of the original's name also when a sibling is sent: the type is that of what comes out.
    pub(super) content_type: Cow<'static, str>,
    /// Whether it had been at rest when it was looked at.
    settled: bool,
    /// Made when they are first wanted.
    fields: OnceCell<Arc<[u8]>>,
    caching_fields: OnceCell<Arc<[u8]>>,
    content: OnceCell<Option<Arc<[u8]>>>,
}

impl Document {
    pub(super) fn new(
        wanted: &Wanted,
        file: File,
        coding: Option<&'static Coding>,
        varies: bool,
        max_age: Option<u32>,
        now: Now,
    ) -> Self {
        let File { facts, slice } = file;
        Self {
            validators: Validators::of(&facts, coding.map(|coding| coding.token), now),
            content_type: mime::content_type(&wanted.name(INDEX)),
            settled: facts.changed + TICK < now.wall,
            facts,
            slice,
            coding,
            varies,
            max_age,
            fields: OnceCell::new(),
            caching_fields: OnceCell::new(),
            content: OnceCell::new(),
        }
    }

    /// Whether this, made before, is what `now_there` is, so that what was made of it still holds.
    pub(super) fn is_still(&self, now_there: &Self) -> bool {
        self.settled
            && self.facts == now_there.facts
            && self.coding == now_there.coding
            && self.varies == now_there.varies
    }

    pub(super) fn size(&self) -> u64 {
        self.slice.len
    }

    /// Memory that it holds, about.
    pub(super) fn weight(&self) -> usize {
        let content = usize::try_from(self.size()).ok().filter(|_| self.slice.len <= File::SMALL);
        1024 + content.unwrap_or(0)
    }

    /// What caches are told of it, in every answer about it.
    fn write_caching_fields(&self, response: &mut Response) {
        self.validators.write_to(response);
        if self.varies {
            response.field("Vary", "Accept-Encoding");
        }
        if let Some(seconds) = self.max_age {
            response.field("Cache-Control", format_args!("max-age={seconds}"));
        }
    }

    /// What stands in every answer with content of it.
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

    /// The content: a small file's bytes, which leave together with the head, or the file itself.
    pub(super) fn body(&self) -> Body {
        match self.content.get_or_init(|| File::read_small(&self.slice)) {
            Some(bytes) => Body::Shared(Arc::clone(bytes)),
            None => Body::File(self.slice.clone()),
        }
    }
}
