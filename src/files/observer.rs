//! The decisions for one request, told by the code that makes them.
//!
//! A [`FileService`](super::FileService) is generic over its observer. With [`Unobserved`], which every server has, a note is no
//! code at all; `--explain` runs a second instance of the same functions, whose observer is a [`Decisions`].

use std::cell::RefCell;

/// Takes notes of decisions. It is passed by value.
pub trait Observer: Copy {
    /// Whether no other connection waits while a request is answered: all is decided at once.
    const IS_ALONE: bool;

    /// Notes what was decided in this step: `path`, `file`, `links`, `variant`, `type`, `caching`, `conditions`, or
    /// another word. Call it where the decision is made.
    fn note(self, step: &'static str, text: impl FnOnce() -> String);
}

/// Takes no notes: the texts are not even made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unobserved;

impl Observer for Unobserved {
    const IS_ALONE: bool = false;

    #[inline(always)]
    fn note(self, _step: &'static str, _text: impl FnOnce() -> String) {}
}

/// The notes of one request.
#[derive(Debug, Default)]
pub struct Decisions {
    notes: RefCell<Vec<(&'static str, String)>>,
}

impl Decisions {
    /// Returns the steps and their texts, in the order in which they were decided. A text may have several lines.
    #[must_use]
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        self.notes.borrow().clone()
    }
}

impl Observer for &Decisions {
    const IS_ALONE: bool = true;

    fn note(self, step: &'static str, text: impl FnOnce() -> String) {
        let text = text();
        self.notes.borrow_mut().push((step, text));
    }
}
