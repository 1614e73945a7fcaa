//! The words of `--explain` for what the file service has decided. Nothing is decided here.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use super::conditional::{self, PreconditionOutcome};
use super::document::{Document, Found};
use super::hints;
use super::media_type::UNKNOWN;
use super::path::{PathError, ResolvedPath};
use super::range::{self, RangeOutcome};
use super::root::{File, Root};
use super::{Options, Symlinks};
use crate::http1::Request;

/// Why a request does not get the document of `--spa`.
pub(super) const NO_BROWSER: &str = "--spa sends its document only to requests that accept text/html: add \
                                     --explain-header 'Accept: text/html' to see what a browser gets";

/// Why a tag is that of all of the content.
pub(super) const CONTENT_TAG: &str = "the file has a date of 1970, which says nothing: the tag is that of its content, and \
                                      there is no Last-Modified";

/// The text of a path that was decoded, or refused.
pub(super) fn path(given: &[u8], resolved: Result<&ResolvedPath, PathError>) -> String {
    match resolved {
        Ok(path) if path.relative.as_os_str().is_empty() => "the root itself".into(),
        Ok(path) if path.as_directory => format!("{}/, decoded once: a folder", path.shown()),
        Ok(path) => format!("{}, decoded once", path.shown()),
        Err(PathError::Malformed) => "it has a NUL, or leads above the root by `..`: 400".into(),
        Err(PathError::Hidden) => hints::of_hidden(given),
    }
}

/// The links on the way to a file, one in a line.
pub(super) fn links(root: &Root, path: &Path) -> String {
    let links = root.links(path);
    if links.is_empty() {
        return "none".into();
    }
    let lines = links.iter().map(|(name, target)| format!("{} -> {}", show(name), show(target)));
    lines.collect::<Vec<_>>().join("\n")
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The file that was opened.
pub(super) fn file(path: &Path, file: &File) -> String {
    format!("{}, {} bytes", show(path.as_os_str().as_bytes()), file.metadata.size)
}

/// Why no file was opened, and which option would change that.
pub(super) fn refused(root: &Root, options: &Options, path: &ResolvedPath, error: &io::Error) -> String {
    if let Some((_, text)) = hints::of_error(root, path, error) {
        return text();
    }
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) if path.as_directory && root.is_folder(path) => {
            let answer = if options.listing { "a listing: --listing" } else { "404 without --listing" };
            format!("the folder has no {} (--index): {answer}", options.pages.index.join(" or "))
        }
        Some(Errno::NOENT) => match root.similar(path) {
            Some(name) => {
                format!("there is no such file; there is {}: upper and lower case differ", show(&name))
            }
            None => "there is no such file, or it is no regular file".into(),
        },
        Some(Errno::LOOP) if options.symlinks == Symlinks::Refuse => {
            "a symbolic link is on the way, and is 404 with --no-symlinks".into()
        }
        _ => format!("it cannot be opened: {error}"),
    }
}

/// The variant that was chosen, after the notes of its siblings.
pub(super) fn variant(options: &Options, found: &Found) -> String {
    match found.coding {
        Some(coding) => format!("the sibling {} is sent: Content-Encoding: {}", coding.suffix, coding.token),
        None if !options.precompressed => {
            "the file itself; siblings are not tried without --precompressed".into()
        }
        None if found.media_type.coding.is_some() => "the file itself, which is compressed already".into(),
        None if found.varies => {
            "the file itself: the request does not accept the sibling (Accept-Encoding)".into()
        }
        None => "the file itself: no sibling can be sent".into(),
    }
}

/// The type of a file, and why.
pub(super) fn media_type(found: &Found) -> String {
    let value = &found.media_type.value;
    let why = match value.as_ref() {
        UNKNOWN => "no type is known for the name: a browser downloads it",
        text if text.ends_with("; charset=utf-8") => "by the name; the first 4 KiB are UTF-8",
        _ => "by the name",
    };
    format!("{value} ({why})")
}

/// The field lines for caches, and what decides them.
pub(super) fn caching(document: &Document) -> String {
    let mut text = String::from_utf8_lossy(&document.caching_fields()).trim_end().replace("\r\n", "\n");
    if document.is_fallback() {
        text += "\nthe document of --spa is never kept without a question";
    } else if !text.contains("Cache-Control:") {
        text += "\nno Cache-Control without --max-age or --cache: caches decide";
    }
    text
}

/// What the preconditions and the range of a request lead to.
pub(super) fn conditions(request: &Request<'_>, document: &Document) -> String {
    let names = ["If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since", "Range"];
    if !names.iter().any(|name| request.fields.get(name).is_some()) {
        return "none in the request".into();
    }
    match conditional::evaluate(request, &document.validators) {
        PreconditionOutcome::Failed => return "a precondition fails: 412".into(),
        PreconditionOutcome::NotModified => return "the copy of the client is current: 304".into(),
        PreconditionOutcome::Send => {}
    }
    if document.is_encoded() {
        return "they allow the whole sibling; a range is one of the original".into();
    }
    match range::evaluate(request, &document.validators, document.content.len()) {
        RangeOutcome::Whole => "the whole file is sent".into(),
        RangeOutcome::Parts(parts) => format!("{} part(s) of the file: 206", parts.len()),
        RangeOutcome::Unsatisfiable => "no range is in the file: 416".into(),
    }
}
