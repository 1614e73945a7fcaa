//! Responses that wait for the tag of a file's content (`content_tag`).
//!
//! ```text
//! draft ──► step: hash pieces of the file ──► … ──► the version is still the same ──► document ──► response
//!                     ▲                                     │ no
//!                     └──── read the file again ◄───────────┘
//! ```

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::content::{Content, MAX_CHANGES};
use super::content_tag::{ContentTag, HashStep, TagTable, TurnPlace};
use super::document::{self, Document, Draft, Found};
use super::error_page::LateError;
use super::media_type::MediaType;
use super::path::ResolvedPath;
use super::refusal::{Refusal, refuse};
use super::rules::Rules;
use super::type_table::TypeTable;
use crate::clock::{Instant, Now};
use crate::http1::{KeptRequest, Response, StepwiseResponse};
use crate::sys::descriptor::{duplicate, metadata};

/// The longest time that a response waits. A slow disk needs longer for a large file: the response then has the tag of this
/// machine, and what is hashed so far is kept for the next request.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A document whose tag may not be known yet.
#[derive(Debug)]
pub(super) struct UntaggedDocument {
    draft: Draft,
    tag: Option<Arc<ContentTag>>,
    /// How often the file has changed while it was hashed.
    changes: usize,
}

impl UntaggedDocument {
    pub(super) fn new(draft: Draft, tags: &TagTable, now: Now) -> Self {
        let tag = tags.of(&draft.found.content, &draft.found.metadata, now);
        Self { draft, tag, changes: 0 }
    }

    /// Whether [`UntaggedDocument::step`] has work.
    pub(super) fn is_due(&self) -> bool {
        self.tag.as_ref().is_some_and(|tag| tag.hash().is_none())
    }

    /// Whether its tag is that of its content, for `--explain`.
    pub(super) fn has_content_tag(&self) -> bool {
        self.tag.is_some()
    }

    /// Whether this is a sibling in another encoding.
    pub(super) fn is_encoded(&self) -> bool {
        self.draft.found.coding.is_some()
    }

    /// Why it cannot be sent.
    pub(super) fn refuse(&self, error: &io::Error) -> Refusal {
        refuse(&ResolvedPath { relative: self.draft.found.path.clone(), as_directory: false }, error)
    }

    /// Hashes a part of the file, for the time of a step. A file that has changed meanwhile is read again.
    ///
    /// # Errors
    /// When the file cannot be read, or changes without a pause.
    pub(super) fn step(&mut self, types: Option<&TypeTable>, now: Now) -> io::Result<()> {
        let (Some(tag), Content::Large(slice, _)) = (&self.tag, &self.draft.found.content) else {
            return Ok(());
        };
        match tag.step(slice.as_fd())? {
            HashStep::More | HashStep::Done => Ok(()),
            HashStep::Changed => self.read_again(types, now),
        }
    }

    /// Reads the version that is in the open file now. Its tag is without a hash if it changes too often, and mostly because
    /// it has changed just now.
    fn read_again(&mut self, types: Option<&TypeTable>, now: Now) -> io::Result<()> {
        self.changes += 1;
        let Found { path, content, media_type, coding, metadata: version, .. } = &mut self.draft.found;
        let Content::Large(slice, _) = &*content else {
            return Ok(());
        };
        let file = duplicate(slice)?;
        for _ in 0..MAX_CHANGES {
            let current = metadata(file.as_fd())?;
            // The type of a sibling is that of its original.
            if coding.is_none() {
                let name = path.file_name().unwrap_or_default();
                *media_type = MediaType::of(name, file.as_fd(), current.size, types)?;
            }
            if let Some(read) = Content::read(duplicate(&file)?, &current, path)? {
                let tag = ContentTag::of(&read, &current, now).filter(|_| self.changes < MAX_CHANGES);
                (*content, *version, self.tag) = (read, current, tag.map(Arc::new));
                return Ok(());
            }
        }
        Err(Errno::AGAIN.into())
    }

    pub(super) fn into_document(self, now: Now) -> Document {
        Document::new(self.draft, self.tag.and_then(|tag| tag.hash()), now)
    }
}

/// A response that waits for tags.
#[derive(Debug)]
pub(super) struct Tagged {
    /// The document, and after it its original if the response needs both.
    pub(super) documents: Vec<UntaggedDocument>,
    pub(super) request: KeptRequest,
    pub(super) rules: Option<Arc<Rules>>,
    pub(super) types: Option<Arc<TypeTable>>,
    pub(super) error: LateError,
    pub(super) place: TurnPlace,
    pub(super) begun: Instant,
}

impl StepwiseResponse for Tagged {
    fn step(&mut self, now: Now) -> Option<Response> {
        let is_late = now.monotonic.saturating_duration_since(self.begun) >= LONGEST_WAIT;
        for document in &mut self.documents {
            if is_late || !document.is_due() {
                continue;
            }
            if !self.place.takes(now.monotonic) {
                return None;
            }
            if let Err(error) = document.step(self.types.as_deref(), now) {
                return Some(self.error.respond(document.refuse(&error)));
            }
            if document.is_due() {
                return None;
            }
        }
        let mut documents = std::mem::take(&mut self.documents).into_iter();
        let (document, original) = (documents.next()?.into_document(now), documents.next());
        let original = original.map(|original| original.into_document(now));
        let rules = self.rules.as_deref();
        Some(
            self.request
                .with(|request| document::respond_special(request, &document, original.as_ref(), rules, now)),
        )
    }
}
