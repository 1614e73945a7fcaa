//! From a path to its document, or to what is sent instead: a redirect, a listing, the document of paths that do not exist,
//! or an error.

use std::io;
use std::os::fd::AsFd;

use log::debug;
use rustix::io::Errno;

use super::accept::prefers_html;
use super::conditional::{self, PreconditionOutcome, Validators};
use super::content::{Content, MAX_CHANGES};
use super::document::{Document, Draft, Found, Policy};
use super::encoding::{self, Order};
use super::error_page::LateError;
use super::hints::{self, Hint};
use super::media_type::MediaType;
use super::pages::{self, FoundPage, PageFile};
use super::path::{Dotfiles, PathError, ResolvedPath, normalise};
use super::reading::{Listed, Reading};
use super::redirect::{redirect_to_directory, redirect_to_page};
use super::refusal::{Refusal, refuse};
use super::root::File;
use super::tagging::{Tagged, UntaggedDocument};
use super::view::View;
use super::{FALLBACK, FileService, Observer, PathRequest, Variant, explain, is_ranged, rows};
use crate::clock::Now;
use crate::http1::{Reply, Request, Response, Status, StepwiseResponse as _};

/// What is sent for a path without a document.
#[derive(Debug)]
pub(super) enum Instead {
    /// A response that lacks the fields of the rules.
    Response(Response),
    /// A whole one, or one that takes several turns.
    Reply(Reply),
    /// The document of paths that do not exist.
    Fallback,
}

impl From<Response> for Instead {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl<O: Observer> FileService<O> {
    /// Opens the document at a path, or returns what is sent for a path without one.
    pub(super) fn find(&self, asked: PathRequest<'_>, variant: Variant) -> Result<UntaggedDocument, Instead> {
        let PathRequest { request, path, query, now } = asked;
        if path == FALLBACK {
            return self.find_fallback(asked, variant);
        }
        let resolved = normalise(path, self.dotfiles());
        self.observer.note("path", || explain::path(path, resolved.as_ref().map_err(|error| *error)));
        let resolved = resolved.map_err(|error| match error {
            PathError::Malformed => self.errors.respond(Refusal::Malformed, request),
            PathError::Hidden => {
                self.hints.tell(Hint::Hidden, now.monotonic, || hints::of_hidden(path));
                self.errors.respond(Refusal::Missing, request)
            }
        })?;
        match self.read(request, &resolved, variant) {
            Ok(Some(found)) => {
                debug!("{} is {} bytes", resolved.shown(), found.content.len());
                Ok(self.draft(found, false, now))
            }
            Ok(None) => {
                self.observer
                    .note("file", || "a folder: redirected to the path with a slash at its end".into());
                Err(redirect_to_directory(path, query).into())
            }
            Err(error) => {
                self.observer.note("links", || explain::links(&self.root, &resolved.relative));
                self.observer.note("file", || explain::refused(&self.root, &self.options, &resolved, &error));
                Err(self.respond_without(asked, &resolved, &error))
            }
        }
    }

    fn draft(&self, found: Found, is_fallback: bool, now: Now) -> UntaggedDocument {
        self.observer.note("links", || explain::links(&self.root, &found.path));
        self.observer.note("variant", || explain::variant(&self.options, &found));
        self.observer.note("type", || explain::media_type(&found));
        let policy = Policy::of(self.options.max_age, self.options.rules.as_deref(), &found.path);
        UntaggedDocument::new(Draft { found, policy, is_fallback }, &self.tags, now)
    }

    /// Makes a document, or the response that first makes its tag.
    pub(super) fn document(
        &self,
        asked: PathRequest<'_>,
        mut untagged: UntaggedDocument,
    ) -> Result<Document, Instead> {
        while O::IS_ALONE && untagged.is_due() {
            let step = untagged.step(self.options.types.as_deref(), asked.now);
            step.map_err(|error| self.errors.respond(untagged.refuse(&error), asked.request))?;
        }
        if untagged.is_due() {
            return Err(self.tag(asked, untagged)?);
        }
        if untagged.has_content_tag() {
            self.observer.note("caching", || explain::CONTENT_TAG.into());
        }
        let document = untagged.into_document(asked.now);
        self.observer.note("caching", || explain::caching(&document));
        Ok(document)
    }

    /// The response with a document whose tag takes several turns: at once if the rest of it takes one step.
    pub(super) fn tag(&self, asked: PathRequest<'_>, untagged: UntaggedDocument) -> Result<Instead, Instead> {
        let request = asked.request;
        let mut documents = vec![untagged];
        if documents[0].is_encoded() && is_ranged(request) {
            documents.push(self.find(asked, Variant::Original)?);
        }
        let mut added = Response::new(Status::FORBIDDEN);
        self.complete(request, &mut added);
        let mut tagged = Tagged {
            documents,
            request: request.keep(),
            rules: self.options.rules.clone(),
            types: self.options.types.clone(),
            error: LateError::new(&self.errors, request, &added),
            place: self.tags.place(),
            begun: asked.now.monotonic,
        };
        let first = tagged.step(asked.now);
        Ok(Instead::Reply(first.map_or_else(|| Reply::Stepwise(Box::new(tagged)), Reply::Ready)))
    }

    /// What is sent for a path without a document: a listing, a redirect, the document of paths that do not exist, or an
    /// error.
    fn respond_without(&self, asked: PathRequest<'_>, path: &ResolvedPath, error: &io::Error) -> Instead {
        let PathRequest { request, query, now, .. } = asked;
        let pages = &self.options.pages;
        let is_unindexed = path.as_directory && is_missing(error);
        if is_unindexed && self.options.listing {
            match self.list(asked, path) {
                Ok(reply) => return Instead::Reply(reply),
                Err(error) if is_missing(&error) => {}
                Err(error) => return self.errors.respond(refuse(path, &error), request).into(),
            }
        }
        if is_unindexed
            && pages.has_page_beside(&self.root, path)
            && let Some(name) = path.relative.file_name()
            && let Some(redirect) = redirect_to_page(asked.path, query, name)
        {
            return redirect.into();
        }
        if pages.fallback.is_some() && pages::is_free(error) && prefers_html(request.fields) {
            self.observer.note("file", || "browsers get the document of --spa instead".into());
            return Instead::Fallback;
        }
        if pages.fallback.is_some() && pages::is_free(error) {
            self.observer.note("file", || explain::NO_BROWSER.into());
        }
        if is_unindexed && !self.options.listing && self.root.open_directory(path).is_ok() {
            self.hints.tell(Hint::Unlisted, now.monotonic, || hints::of_unlisted(path, &pages.index));
            return self.errors.respond(Refusal::NoIndex, request).into();
        }
        if let Some((hint, text)) = hints::of_error(&self.root, path, error) {
            self.hints.tell(hint, now.monotonic, text);
        }
        self.errors.respond(refuse(path, error), request).into()
    }

    /// Opens the document of paths that do not exist.
    fn find_fallback(&self, asked: PathRequest<'_>, variant: Variant) -> Result<UntaggedDocument, Instead> {
        let PathRequest { request, now, .. } = asked;
        let missing = || self.errors.respond(Refusal::Missing, request);
        let path = self.options.pages.fallback.as_ref().ok_or_else(missing)?;
        match self.read(request, path, variant) {
            Ok(Some(found)) => Ok(self.draft(found, true, now)),
            Ok(None) => Err(missing().into()),
            Err(error) => Err(self.errors.respond(refuse(path, &error), request).into()),
        }
    }

    fn dotfiles(&self) -> Dotfiles {
        if self.options.dotfiles { Dotfiles::Serve } else { Dotfiles::Hide }
    }

    /// Lists the directory at a path: at once if it is small.
    fn list(&self, asked: PathRequest<'_>, path: &ResolvedPath) -> io::Result<Reply> {
        let PathRequest { request, query, now, .. } = asked;
        let view = View::of(query, request.fields.all("Accept"));
        let reading = Reading::begin(&self.root, path.clone(), self.dotfiles(), view, &self.listings)?;
        // A listing has no validators.
        match conditional::evaluate(request, &Validators::default()) {
            PreconditionOutcome::Send => {}
            outcome => {
                let mut response = match outcome {
                    PreconditionOutcome::Failed => Response::error(Status::PRECONDITION_FAILED),
                    _ => Response::new(Status::NOT_MODIFIED),
                };
                self.complete(request, &mut response);
                return Ok(response.into());
            }
        }
        let (mut head, mut error) = (rows::head(view), Response::new(Status::FORBIDDEN));
        self.complete(request, &mut head);
        self.complete(request, &mut error);
        let error = LateError::new(&self.errors, request, &error);
        let mut listed = Listed { reading, head, error };
        Ok(listed.step(now).map_or_else(|| Reply::Stepwise(Box::new(listed)), Reply::Ready))
    }

    /// Opens and reads one version of a file; `None` for a directory.
    fn read(
        &self,
        request: &Request<'_>,
        path: &ResolvedPath,
        variant: Variant,
    ) -> io::Result<Option<Found>> {
        for _ in 0..MAX_CHANGES {
            let FoundPage::File(page) = self.options.pages.find(&self.root, path)? else {
                return Ok(None);
            };
            let PageFile { path, file: original, before } = page;
            self.observer.note("file", || explain::file(&path, &original));
            let (name, types) = (path.file_name().unwrap_or_default(), self.options.types.as_deref());
            let media_type = MediaType::of(name, original.file.as_fd(), original.metadata.size, types)?;
            // A file that is compressed already has no sibling that is more so.
            let order = match variant {
                _ if !self.options.precompressed || media_type.coding.is_some() => Order::default(),
                Variant::Accepted => Order::of(request.fields),
                Variant::Original => Order::none(),
            };
            let (chosen, coding, varies, mut lookups) =
                encoding::choose(&self.root, &path, original, order, self.observer);
            let File { file, metadata, lookup } = chosen;
            lookups.push(lookup);
            lookups.extend(before);
            if let Some(content) = Content::read(file, &metadata, &path)? {
                return Ok(Some(Found { path, lookups, metadata, content, media_type, coding, varies }));
            }
        }
        // It is written without a pause, and will be quiet later.
        Err(Errno::AGAIN.into())
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
