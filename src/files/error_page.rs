//! The responses for requests without a document: a page for browsers, plain text for programs.
//!
//! All of them are made when the service is, so an error costs a look at `Accept` and two counted references. They name no
//! path: neither that of the request, which a stranger chose, nor that of the root.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use super::accept::prefers_html;
use super::listing::MAX_NAMES;
use super::media_type::MediaType;
use super::refusal::{ALLOW, Refusal};
use crate::http1::{Body, Request, Response, Status};
use crate::sys::descriptor::read_at;

/// The colours and the frame of all pages of this server.
const THEME: &str = include_str!("theme.css");

const STYLE: &str = include_str!("error_page.css");

/// The largest page of an operator: each response has a copy of it until it is sent.
const MAX_SIZE: u64 = 256 * 1024;

/// An operator's page for an error (`--error-page`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFile {
    status: Status,
    media_type: String,
    content: Arc<[u8]>,
}

impl ErrorFile {
    /// The statuses that a page can be given for: those of [`FileService`](super::FileService) that a person may see.
    /// Conditions and ranges (412, 416) are a program's, and a malformed request has no fields that could be believed.
    pub const STATUSES: [Status; 7] = [
        Status::BAD_REQUEST,
        Status::FORBIDDEN,
        Status::NOT_FOUND,
        Status::METHOD_NOT_ALLOWED,
        Status::INTERNAL_SERVER_ERROR,
        Status::NOT_IMPLEMENTED,
        Status::SERVICE_UNAVAILABLE,
    ];

    /// Reads a page.
    ///
    /// # Errors
    /// As open(2) and read(2); when it is no regular file, or larger than 256 KiB.
    pub fn read(status: Status, path: &Path) -> io::Result<Self> {
        // A FIFO must not block the start.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let file = fs::File::open(path)?;
        let size = file.metadata()?.len();
        if size > MAX_SIZE {
            return Err(io::Error::other("it is larger than 256 KiB"));
        }
        let media_type = MediaType::of(path.file_name().unwrap_or(OsStr::new("")), file.as_fd(), size, None)?;
        let mut content = vec![0; usize::try_from(size).unwrap_or_default()];
        let length = read_at(file.as_fd(), &mut content, 0)?;
        content.truncate(length);
        Ok(Self { status, media_type: media_type.value.into_owned(), content: content.into() })
    }

    /// Which error the page is for.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }
}

/// The responses for all refusals.
#[derive(Debug)]
pub(super) struct ErrorPages([ErrorPage; Refusal::ALL.len()]);

/// One error, in the form that browsers get, and the form that all others get.
#[derive(Debug)]
struct ErrorPage {
    html: ErrorBody,
    plain: ErrorBody,
}

#[derive(Clone, Debug)]
struct ErrorBody {
    fields: Arc<[u8]>,
    content: Arc<[u8]>,
}

impl ErrorPages {
    /// Makes all pages; `index` is the names of an index, and `own` the operator's pages.
    pub(super) fn new(index: &[String], own: &[ErrorFile]) -> Self {
        Self(Refusal::ALL.map(|refusal| {
            let status = refusal.status();
            if let Some(ErrorFile { media_type, content, .. }) = own.iter().find(|file| file.status == status)
            {
                let body =
                    ErrorBody { fields: fields(refusal, media_type, false), content: Arc::clone(content) };
                return ErrorPage { html: body.clone(), plain: body };
            }
            let words = words(refusal, &index.join(" or "));
            ErrorPage {
                html: ErrorBody {
                    fields: fields(refusal, "text/html; charset=utf-8", true),
                    content: html(status, &words).into_bytes().into(),
                },
                plain: ErrorBody {
                    fields: fields(refusal, "text/plain; charset=utf-8", false),
                    content: format!("{status}\n{}\n", words.plain).into_bytes().into(),
                },
            }
        }))
    }

    /// The response to a request that is refused.
    pub(super) fn respond(&self, refusal: Refusal, request: &Request<'_>) -> Response {
        self.page(refusal, prefers_html(request.fields))
    }

    /// As [`ErrorPages::respond`], for a client that gets a page or plain text.
    fn page(&self, refusal: Refusal, is_html: bool) -> Response {
        let page = &self.0[refusal as usize];
        let body = if is_html { &page.html } else { &page.plain };
        let mut response = Response::with_shared_fields(refusal.status(), Arc::clone(&body.fields));
        response.body = Body::Shared(Arc::clone(&body.content));
        response
    }
}

/// The error of a request that is refused after its head is gone.
#[derive(Debug)]
pub(super) struct LateError {
    pages: Arc<ErrorPages>,
    is_html: bool,
    lines: Vec<u8>,
}

impl LateError {
    /// The errors of this request; those for paths without a file have the field lines of `added`.
    pub(super) fn new(pages: &Arc<ErrorPages>, request: &Request<'_>, added: &Response) -> Self {
        let is_html = prefers_html(request.fields);
        Self { pages: Arc::clone(pages), is_html, lines: added.fields().to_vec() }
    }

    /// As [`ErrorPages::respond`].
    pub(super) fn respond(&self, refusal: Refusal) -> Response {
        let mut response = self.pages.page(refusal, self.is_html);
        response.field_lines(&self.lines);
        response
    }
}

/// The field lines of an error.
fn fields(refusal: Refusal, media_type: &str, is_ours: bool) -> Arc<[u8]> {
    let mut response = Response::new(refusal.status());
    response.field("Content-Type", media_type);
    // Also where both forms are the same: with `--spa` there is a document for browsers.
    response.field("Vary", "Accept");
    response.field("X-Content-Type-Options", "nosniff");
    if is_ours {
        response.field("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    }
    match refusal.status() {
        Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED => response.field("Allow", ALLOW),
        Status::SERVICE_UNAVAILABLE => response.field("Retry-After", 1),
        _ => {}
    }
    response.into_fields()
}

/// What is said of an error.
#[derive(Debug)]
struct Words {
    /// The second line of the plain text.
    plain: String,
    /// What happened, in a few words and in a sentence.
    title: String,
    happened: String,
    /// What the reader can do.
    advice: String,
}

const ASK_THE_LOG: &str = "If this is your server, its log says more.";
const TRY_AGAIN: &str = "Try again in a moment.";
const NO_CHANGES: &str = "Nothing can be sent to it or changed here.";

fn words(refusal: Refusal, index: &str) -> Words {
    let standard = refusal.status().text();
    let own = |plain: &str, [title, happened, advice]: [&str; 3]| Words {
        plain: plain.into(),
        title: title.into(),
        happened: happened.into(),
        advice: advice.into(),
    };
    match refusal {
        Refusal::Malformed => own(
            standard,
            [
                "This address has no meaning",
                "It leads above the start of the site, or has a byte that no name can have.",
                "Check the address.",
            ],
        ),
        Refusal::Missing => own(
            standard,
            [
                "There is nothing here",
                "The page may have been moved or removed, or the address may have a typing error.",
                "Check the address, or begin at the start page.",
            ],
        ),
        Refusal::NoIndex => Words {
            plain: format!("This folder has no {index}; the option --listing shows its files"),
            title: format!("This folder has no {index}"),
            happened: "So there is no page to show, and the files in it are not listed.".into(),
            advice: format!(
                "If this is your server, add an `{index}`, or start it with `--listing` to list folders."
            ),
        },
        Refusal::Forbidden => own(
            standard,
            [
                "This cannot be read",
                "The server has no permission to read what is at this address.",
                "If this is your server, check the permissions of the file and of the folders above it.",
            ],
        ),
        Refusal::TooManyNames => Words {
            plain: format!("This directory has more names than can be listed, {MAX_NAMES}"),
            title: "This folder is too large to list".into(),
            happened: format!("It has more than {MAX_NAMES} names, and a part of them would look like all."),
            advice: "Files in it can be opened by their address.".into(),
        },
        Refusal::TooManyListings => own(
            "Too many long listings are being sent; try again",
            [
                "Too many long listings at once",
                "The server sends other large folders at the moment.",
                TRY_AGAIN,
            ],
        ),
        Refusal::Method => {
            own(standard, ["This can only be read", NO_CHANGES, "Open the address without sending a form."])
        }
        Refusal::UnknownMethod => {
            own(standard, ["This server knows no such method", NO_CHANGES, "Use GET or HEAD."])
        }
        Refusal::Failed => own(
            standard,
            ["The file could not be read", "The server failed to read what is at this address.", ASK_THE_LOG],
        ),
        Refusal::Busy => own(
            standard,
            ["Too much to do", "The server has more to do than it can at the moment.", TRY_AGAIN],
        ),
        Refusal::Replaced => own(
            "The directory has just been replaced; try again",
            ["This site is just being replaced", "The server has not opened the new one yet.", TRY_AGAIN],
        ),
    }
}

/// A page; code in the words is in backticks.
fn html(status: Status, words: &Words) -> String {
    let Words { title, happened, advice, .. } = words;
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{THEME}{STYLE}</style>\n<main>\n<p class=\"status\">{status}</p>\n<h1>{title}</h1>\n\
         <p>{}</p>\n<p>{}</p>\n<p><a href=\"/\">Start page</a></p>\n</main>\n",
        escaped(happened),
        escaped(advice)
    )
}

/// Words as HTML. The names of an index are the operator's, and may have any character.
fn escaped(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    let mut is_code = false;
    for character in words.chars() {
        let _ = match character {
            '&' => write!(text, "&amp;"),
            '<' => write!(text, "&lt;"),
            '>' => write!(text, "&gt;"),
            '`' => {
                is_code = !is_code;
                write!(text, "{}", if is_code { "<code>" } else { "</code>" })
            }
            character => write!(text, "{character}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_place_and_its_words() {
        for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, at, "{refusal:?}");
            assert!(ErrorFile::STATUSES.contains(&refusal.status()), "{refusal:?}");
            let words = words(refusal, "index.html");
            let page = html(refusal.status(), &words);
            assert!(page.contains(&format!("<h1>{}</h1>", words.title)), "{page}");
            assert!(!page.contains('`') && !page.contains("<script"), "{page}");
        }
    }

    #[test]
    fn names_of_an_index_are_text() {
        let words = words(Refusal::NoIndex, "<b>&.html");
        assert!(html(Status::NOT_FOUND, &words).contains("<h1>This folder has no &lt;b&gt;&amp;.html</h1>"));
    }
}
