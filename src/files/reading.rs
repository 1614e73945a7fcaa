//! Reading a directory to list it, in steps.
//!
//! ```text
//! open ──► step: names, types, links; sizes and times if they decide the order ──► … ──► head and length ──► rows
//! ```
//!
//! A step ends after [`STEP`], because the other connections wait for it. The response begins when all names are known: a
//! program that mirrors the directory must not take a part of it for all. Its length is known then, too, so that a response
//! which is cut short is seen to be.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;

use super::error_page::LateError;
use super::listing::{EntryFacts, Listing, ListingMemory, ListingOverflow, MAX_NAMES};
use super::path::{Dotfiles, ResolvedPath, is_served};
use super::refusal::{Refusal, refuse};
use super::root::{OpenOutcome, Root};
use super::rows::{self, Rows};
use super::view::View;
use crate::clock::{Instant, Now};
use crate::http1::{Body, Response, STEP, Status, StepwiseResponse};
use crate::sys::directory::{FoundName, NameKind, NameReader};

/// Names between two looks at the clock.
const LOOK: usize = 16;

/// A directory that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    root: Root,
    path: ResolvedPath,
    dotfiles: Dotfiles,
    view: View,
    /// `None` after the last step.
    state: Option<(NameReader, Listing)>,
    /// Names so far, shown or not.
    names: usize,
    /// Bytes of the rows so far.
    rows_len: u64,
}

/// Why a listing is refused.
#[derive(Debug)]
enum Failure {
    Io(io::Error),
    Overflow(ListingOverflow),
}

impl Reading {
    /// Begins to read the directory at `path`.
    pub(super) fn begin(
        root: &Root,
        path: ResolvedPath,
        dotfiles: Dotfiles,
        view: View,
        memory: &ListingMemory,
    ) -> io::Result<Self> {
        let directory: OwnedFd = root.open_directory(&path)?;
        let state = Some((NameReader::new(directory)?, Listing::new(view.order, memory)));
        Ok(Self { root: root.clone(), path, dotfiles, view, state, names: 0, rows_len: 0 })
    }

    /// Reads names for the time of a step. Returns whether there are no more.
    fn read(&mut self) -> Result<bool, Failure> {
        let Some((mut reader, mut listing)) = self.state.take() else {
            return Ok(true);
        };
        let begun = Instant::now();
        let mut is_end = false;
        while !is_end && (!self.names.is_multiple_of(LOOK) || begun.elapsed() < STEP) {
            match reader.next_name().map_err(Failure::Io)? {
                Some(found) => self.add(&reader, &mut listing, &found).map_err(Failure::Overflow)?,
                None => is_end = true,
            }
        }
        if is_end {
            listing.finish();
        }
        self.state = Some((reader, listing));
        Ok(is_end)
    }

    /// Adds a name to the listing, if it is served.
    fn add(
        &mut self,
        reader: &NameReader,
        listing: &mut Listing,
        found: &FoundName,
    ) -> Result<(), ListingOverflow> {
        self.names += 1;
        if self.names > MAX_NAMES {
            return Err(ListingOverflow::TooLong);
        }
        let name = found.name();
        if !is_served(name, self.dotfiles) {
            return Ok(());
        }
        let found = match found.kind() {
            NameKind::Regular => self.facts(reader, name, false).map(|facts| (false, facts)),
            NameKind::Directory => self.facts(reader, name, true).map(|facts| (true, facts)),
            NameKind::Other => None,
            NameKind::Unclear => self.target(reader, name),
        };
        if let Some((is_directory, facts)) = found {
            let entry = listing.push(name, is_directory, facts)?;
            self.rows_len += rows::row_len(self.view, listing, entry);
        }
        Ok(())
    }

    /// The facts of a name, if they are needed before the rows; `None` if the name was removed meanwhile.
    #[allow(clippy::option_option, reason = "removed, or not needed")]
    fn facts(&self, reader: &NameReader, name: &OsStr, is_directory: bool) -> Option<Option<EntryFacts>> {
        if !self.view.needs_facts() {
            return Some(None);
        }
        match reader.metadata(name) {
            Ok(metadata) => Some(Some(EntryFacts::of(&metadata, is_directory))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // The directory may be readable, but not what is in it.
            Err(_) => Some(Some(EntryFacts::default())),
        }
    }

    /// What a symlink leads to, if it is served: it may lead out of the root, to nothing, or in a circle.
    fn target(&self, reader: &NameReader, name: &OsStr) -> Option<(bool, Option<EntryFacts>)> {
        match self.root.open_beneath(&self.path.relative.join(name)).ok()? {
            OpenOutcome::Directory => Some((true, self.facts(reader, name, true)?)),
            OpenOutcome::File(file) => Some((false, Some(EntryFacts::of(&file.metadata, false)))),
        }
    }
}

impl Reading {
    /// Reads for the time of a step. Returns the rows after the last one, or why there are none.
    fn step(&mut self) -> Option<Result<Rows, Refusal>> {
        match self.read() {
            Ok(false) => None,
            Ok(true) => {
                let (reader, listing) = self.state.take()?;
                Some(Ok(Rows::new(reader, &self.path, listing, self.view, self.rows_len)))
            }
            Err(Failure::Io(error)) => Some(Err(refuse(&self.path, &error))),
            Err(Failure::Overflow(overflow)) => Some(Err(overflow.into())),
        }
    }
}

/// A listing that is being read, and what its response has besides the rows.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) reading: Reading,
    /// The response without its body.
    pub(super) head: Response,
    pub(super) error: LateError,
}

impl StepwiseResponse for Listed {
    fn step(&mut self, _now: Now) -> Option<Response> {
        Some(match self.reading.step()? {
            Ok(rows) => {
                let mut response = std::mem::replace(&mut self.head, Response::new(Status::OK));
                response.body = Body::Made(Box::new(rows));
                response
            }
            Err(refusal) => self.error.respond(refusal),
        })
    }
}
