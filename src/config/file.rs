//! The configuration file: TOML, with the long names of the options as its keys.
//!
//! ```toml
//! listen = [":8080", "unix:/run/stheno.sock"]
//! root = "site"                  # relative paths begin at the file's folder
//! listing = true
//! max-connections = 1000
//! ```
//!
//! A file is turned into the words that would say the same on the command line, so that there is one table of
//! options, one parser and one set of checks. What TOML can tell beyond that is the type of a value.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use crate::cli::{self, Known, Takes};
use crate::sys::descriptor::{FileKind, metadata};

/// A file that is larger is none of ours.
const MAX_SIZE: u64 = 1024 * 1024;

/// Options that have no meaning in a file.
const NOT_IN_A_FILE: [&str; 4] = ["help", "version", "check", "config"];

/// A name that differs in more letters than these is another name.
const NEAR: usize = 3;

/// One key of a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) option: Known,
    /// What would say the same on the command line.
    pub(super) words: Vec<String>,
    /// Where it stands, from 1.
    pub(super) line: usize,
}

/// Reads a file: its keys, in the order in which they stand.
///
/// # Errors
/// The first thing that is wrong with it, with its line and its key.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let name = path.display();
    let complain = |line, what| ConfigError::File(format!("{name}:{line}: {what}"));
    let bytes = read_bytes(path).map_err(|error| {
        ConfigError::Start(format!(
            "cannot read the configuration {name}: {error}; give another with --config"
        ))
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = line_at(error.as_bytes(), error.utf8_error().valid_up_to());
        complain(line, "this is no UTF-8".to_string())
    })?;
    let table = DeTable::parse(&text).map_err(|error| {
        let line = line_at(text.as_bytes(), error.span().map_or(0, |span| span.start));
        let words: Vec<&str> = error.message().split_whitespace().collect();
        complain(line, format!("this is no TOML: {}", words.join(" ")))
    })?;
    let mut pairs: Vec<_> = table.get_ref().iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    let folder = path.parent().unwrap_or(Path::new(""));
    pairs
        .into_iter()
        .map(|(key, value)| {
            let line = line_at(text.as_bytes(), key.span().start);
            entry(key.get_ref(), value, line, folder).map_err(|what| complain(line, what))
        })
        .collect()
}

/// A FIFO must not hold us up, and what is no regular file cannot be read a second time at a reload.
fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
    if metadata(file.as_fd())?.kind != FileKind::Regular {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// The number of the line that `position` is in, from 1.
fn line_at(text: &[u8], position: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &text[..position.min(text.len())]).count()
}

fn entry(key: &str, value: &Spanned<DeValue<'_>>, line: usize, folder: &Path) -> Result<Entry, String> {
    let options = keys();
    let Some(option) = options.iter().find(|option| option.name == key) else {
        return Err(match value.get_ref() {
            DeValue::Table(_) => format!("[{key}]: there are no sections here, all keys stand at the top"),
            _ => format!("unknown key {key:?}{}", suggestion(key, &options)),
        });
    };
    let words = words(*option, value.get_ref(), folder).map_err(|wanted| format!("{key}: {wanted}"))?;
    Ok(Entry { option: *option, words, line })
}

/// The options that a file may hold.
fn keys() -> Vec<Known> {
    let mut keys = cli::options();
    keys.retain(|option| !NOT_IN_A_FILE.contains(&option.name));
    keys
}

/// What would say the same on the command line; an error says what kind of value is wanted.
fn words(option: Known, value: &DeValue<'_>, folder: &Path) -> Result<Vec<String>, String> {
    let flag = format!("--{}", option.name);
    if option.takes == Takes::Nothing {
        return match value {
            DeValue::Boolean(true) => Ok(vec![flag]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            other => Err(format!("true or false is wanted, and this is {}", kind(other))),
        };
    }
    match value {
        DeValue::Array(items) if option.repeats => {
            let words = items.iter().map(|item| Ok([flag.clone(), word(option, item.get_ref(), folder)?]));
            Ok(words.collect::<Result<Vec<_>, String>>()?.concat())
        }
        value => Ok(vec![flag, word(option, value, folder)?]),
    }
}

/// One value as a word.
fn word(option: Known, value: &DeValue<'_>, folder: &Path) -> Result<String, String> {
    match (option.takes, value) {
        // These are no paths there.
        (Takes::Path, DeValue::String(path))
            if option.name == "access-log" && matches!(&**path, "-" | "off") =>
        {
            Ok(path.to_string())
        }
        (Takes::Text | Takes::Who, DeValue::String(text)) => Ok(text.to_string()),
        (Takes::Path, DeValue::String(path)) => Ok(from_folder(folder, path)),
        (Takes::Place, DeValue::String(place)) => Ok(match place.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => format!("unix:{}", from_folder(folder, path)),
            _ => place.to_string(),
        }),
        (Takes::Octal, DeValue::String(digits)) => Ok(digits.to_string()),
        // 0o660 is as clear as "0660", and 660 is not: it is another number.
        (Takes::Octal, DeValue::Integer(number)) if number.radix() == 8 => Ok(number.as_str().into()),
        (Takes::Number | Takes::Seconds | Takes::Who, DeValue::Integer(number)) => {
            // 0x10 and 0b1 are numbers of TOML, and no numbers of the command line.
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            decimal.map(|number| number.to_string()).map_err(|_| "this number is too large".into())
        }
        (Takes::Seconds, DeValue::Float(number)) => Ok(number.as_str().into()),
        (takes, other) => {
            let wanted = match takes {
                Takes::Number => "a whole number",
                Takes::Seconds => "a number of seconds",
                Takes::Octal => "a text of octal digits, or a number that begins with 0o,",
                _ => "a text in quotes",
            };
            Err(format!("{wanted} is wanted, and this is {}", kind(other)))
        }
    }
}

/// A path as it is to be understood outside of the file.
fn from_folder(folder: &Path, path: &str) -> String {
    // Both are text: the folder came from the command line, which is.
    folder.join(path).to_string_lossy().into_owned()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `; did you mean "port"?`, if a name is near enough for that.
fn suggestion(key: &str, options: &[Known]) -> String {
    if NOT_IN_A_FILE.contains(&key) {
        return ": it stands on the command line only".into();
    }
    let near = options.iter().map(|option| (distance(key, option.name), option.name)).min();
    match near {
        // Most letters have to be right, or `x` would be taken for `log`.
        Some((distance, name)) if distance <= NEAR && 2 * distance <= name.len() => {
            format!("; did you mean {name:?}?")
        }
        _ => "; stheno --help has them all".into(),
    }
}

/// How many letters have to be put in, taken out or changed to make one word of the other (Levenshtein). A key
/// as long as a file would take long, so only the beginnings are compared.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().replace('_', "-").chars().take(64).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, there) in b.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, here) in a.iter().enumerate() {
            let changed = diagonal + usize::from(*here != there);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[a.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in [
            ("port", "port", 0),
            ("prot", "port", 2),
            ("max_connections", "max-connections", 0),
            ("", "log", 3),
            ("listning", "listing", 1),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn names_that_are_near() {
        for (key, want) in [
            ("prot", "; did you mean \"port\"?"),
            ("max_connections", "; did you mean \"max-connections\"?"),
            ("Listing", "; did you mean \"listing\"?"),
            ("x", "; stheno --help has them all"),
            ("config", ": it stands on the command line only"),
        ] {
            assert_eq!(suggestion(key, &keys()), want, "{key}");
        }
    }

    /// There is one table of options: whatever the command line knows, the file knows, and nothing else.
    #[test]
    fn the_keys_are_the_options() {
        let options: Vec<&str> = cli::options().iter().map(|option| option.name).collect();
        let mut keys: Vec<&str> = keys().iter().map(|option| option.name).collect();
        keys.extend(NOT_IN_A_FILE);
        assert!(NOT_IN_A_FILE.iter().all(|name| options.contains(name)), "{options:?}");
        assert!(options.iter().all(|name| keys.contains(name)) && options.len() == keys.len());
    }
}
