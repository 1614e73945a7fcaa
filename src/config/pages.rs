//! The pages of the file service: index, fallback, errors.

use std::path::{Component, Path};

use super::error::ConfigError;
use super::values::Values;
use crate::files::{ErrorFile, PageOptions, ResolvedPath};
use crate::http1::Status;

/// A directory without an index costs a lookup for each name.
const MAX_NAMES: usize = 8;

pub(super) fn pages(values: &Values) -> Result<PageOptions, ConfigError> {
    Ok(PageOptions {
        index: index(values)?,
        clean_urls: values.has("clean-urls"),
        fallback: fallback(values)?,
        errors: error_files(values)?,
    })
}

fn index(values: &Values) -> Result<Vec<String>, ConfigError> {
    let names: Vec<String> = values.text("index").split(',').map(|name| name.trim().into()).collect();
    let is_name = |name: &String| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
    if !names.iter().all(is_name) {
        return Err(
            values.usage("index", "give names of files, without slashes and without a dot at the begin")
        );
    }
    if names.len() > MAX_NAMES {
        return Err(values.usage("index", &format!("give at most {MAX_NAMES} names")));
    }
    Ok(names)
}

/// Whether the file exists is seen at each request, because a build may make it later.
fn fallback(values: &Values) -> Result<Option<ResolvedPath>, ConfigError> {
    let Some(name) = values.get("spa-file") else {
        let root = ResolvedPath { relative: "".into(), as_directory: true };
        return Ok(values.has("spa").then_some(root));
    };
    let relative = Path::new(name.strip_prefix('/').unwrap_or(name));
    let is_below = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_below || relative.as_os_str().is_empty() || name.ends_with('/') || name.contains('\0') {
        return Err(values.usage("spa-file", "give the path of a file below the root, such as index.html"));
    }
    Ok(Some(ResolvedPath { relative: relative.into(), as_directory: false }))
}

fn error_files(values: &Values) -> Result<Vec<ErrorFile>, ConfigError> {
    let mut files: Vec<ErrorFile> = Vec::new();
    for value in values.all("error-page") {
        let invalid = |wanted: &str| values.invalid("error-page", value, wanted);
        let (code, path) =
            value.split_once('=').ok_or_else(|| invalid("give a status and a file, such as 404=404.html"))?;
        let status = status(code).ok_or_else(|| invalid(&format!("give one of the codes {}", codes())))?;
        if files.iter().any(|file| file.status() == status) {
            return Err(invalid("give one file for each code"));
        }
        let file = ErrorFile::read(status, Path::new(path)).map_err(|error| {
            let line = format!("cannot read the page {path} for {}: {error}; {ADVICE}", status.code());
            values.sources().start_error("--error-page", line)
        })?;
        files.push(file);
    }
    Ok(files)
}

/// For those that expect the file below the root.
const ADVICE: &str =
    "its path starts at the current folder, or that of the configuration file, and not at the root";

fn status(code: &str) -> Option<Status> {
    ErrorFile::STATUSES.into_iter().find(|status| status.code().to_string() == code)
}

fn codes() -> String {
    ErrorFile::STATUSES.map(|status| status.code().to_string()).join(", ")
}
