//! The configuration file: TOML, with the long names of the options as its keys.
//!
//! ```toml
//! listen = [":8080", "unix:/run/stheno.sock"]
//! root = "site"                  # relative paths begin at the file's folder
//! listing = true
//! max-connections = 1000
//! ```
//!
//! A file becomes the settings that would say the same on the command line, so there is one table of options and one
//! set of checks. TOML adds the type of a value, which is checked here.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use crate::cli::{self, OptionGroup, OptionSpec, Setting, ValueKind};
use crate::sys::descriptor::{FileKind, metadata};

/// A larger file is no configuration.
const MAX_SIZE: u64 = 1024 * 1024;

/// Options that have no meaning in a file.
const NOT_IN_A_FILE: [&str; 6] = ["help", "version", "check", "config", "explain", "explain-header"];

/// Reads a file: its settings, in their order.
///
/// # Errors
/// The first mistake in it, with its line and its key.
pub(super) fn read(path: &Path, groups: &[OptionGroup]) -> Result<Vec<Setting>, ConfigError> {
    let name = path.display();
    let complain = |line, what| ConfigError::File(format!("{name}:{line}: {what}"));
    let bytes = read_bytes(path).map_err(|error| {
        ConfigError::Start(format!(
            "cannot read the configuration {name}: {error}; give another with --config"
        ))
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = line_at(error.as_bytes(), error.utf8_error().valid_up_to());
        complain(line, "not valid UTF-8".to_string())
    })?;
    let table = DeTable::parse(&text).map_err(|error| {
        let line = line_at(text.as_bytes(), error.span().map_or(0, |span| span.start));
        let words: Vec<&str> = error.message().split_whitespace().collect();
        complain(line, format!("not valid TOML: {}", words.join(" ")))
    })?;
    let mut pairs: Vec<_> = table.get_ref().iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut settings = Vec::new();
    for (key, value) in pairs {
        let line = line_at(text.as_bytes(), key.span().start);
        let place = |key: &str| format!("{name}:{line}: {key}");
        let option = find(key.get_ref(), value, groups).map_err(|what| complain(line, what))?;
        // What is on or off by other options is off: `listing = false` is `--no-listing`.
        if let (DeValue::Boolean(false), Some(option)) = (value.get_ref(), opposite(&option, groups)) {
            settings.push(Setting { option, value: String::new(), place: Some(place(option.name)) });
            continue;
        }
        let found = values(&option, value.get_ref(), folder)
            .map_err(|what| ConfigError::File(format!("{}: {what}", place(key.get_ref()))))?;
        let place = Some(place(key.get_ref()));
        settings.extend(found.into_iter().map(|value| Setting { option, value, place: place.clone() }));
    }
    Ok(settings)
}

/// Reads a regular file of at most 1 MiB. A FIFO must not block the start, and only a regular file can be read a second
/// time at a reload.
pub(super) fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
    if metadata(file.as_fd())?.kind != FileKind::Regular {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(std::io::Error::other("larger than 1 MiB"));
    }
    Ok(bytes)
}

/// The number of the line that `position` is in, from 1.
fn line_at(text: &[u8], position: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &text[..position.min(text.len())]).count()
}

/// The option that a key names.
fn find(key: &str, value: &Spanned<DeValue<'_>>, groups: &[OptionGroup]) -> Result<OptionSpec, String> {
    keys(groups).find(|option| option.is_named(key)).ok_or_else(|| match value.get_ref() {
        DeValue::Table(_) => format!("[{key}]: there are no sections here, all keys are at the top"),
        _ => format!("unknown key {key:?}{}", suggestion(key, groups)),
    })
}

/// The switch `no-NAME` of the switch `NAME`.
fn opposite(option: &OptionSpec, groups: &[OptionGroup]) -> Option<OptionSpec> {
    let is_switch = option.kind() == ValueKind::Nothing;
    keys(groups).find(|other| is_switch && other.name.strip_prefix("no-") == Some(option.name))
}

/// The options that a file may set.
fn keys(groups: &[OptionGroup]) -> impl Iterator<Item = OptionSpec> {
    cli::all(groups).filter(|option| !NOT_IN_A_FILE.contains(&option.name))
}

/// The values that would say the same on the command line; an error says which type is expected.
fn values(option: &OptionSpec, value: &DeValue<'_>, folder: &Path) -> Result<Vec<String>, String> {
    match value {
        DeValue::Boolean(true) if option.kind() == ValueKind::Nothing => Ok(vec![String::new()]),
        DeValue::Boolean(false) if option.kind() == ValueKind::Nothing => Ok(Vec::new()),
        DeValue::Array(items) if option.repeats && items.is_empty() => {
            Err("the list is empty: leave the key out, or give a value".into())
        }
        DeValue::Array(items) if option.repeats => {
            items.iter().map(|item| text(option, item.get_ref(), folder)).collect()
        }
        value => Ok(vec![text(option, value, folder)?]),
    }
}

/// One value as the command line would have it.
fn text(option: &OptionSpec, value: &DeValue<'_>, folder: &Path) -> Result<String, String> {
    use ValueKind::{Id, Nothing, Number, Octal, Path, Place, Seconds, Size, Text};
    match (option.kind(), value) {
        // These two are not paths there.
        (Path, DeValue::String(path)) if option.name == "access-log" && matches!(&**path, "-" | "off") => {
            Ok(path.to_string())
        }
        (Path, DeValue::String(path)) => Ok(from_folder(folder, path)),
        (Place, DeValue::String(place)) => Ok(match place.strip_prefix("unix:") {
            // A path with `@` is refused as it is written.
            Some(path) if !path.is_empty() && !path.starts_with('@') => {
                format!("unix:{}", from_folder(folder, path))
            }
            _ => place.to_string(),
        }),
        (Text, DeValue::String(text)) if matches!(option.arg, "code=file" | "/prefix=folder") => {
            Ok(match text.split_once('=') {
                Some((left, path)) => format!("{left}={}", from_folder(folder, path)),
                None => text.to_string(),
            })
        }
        (Text | Id | Octal | Size, DeValue::String(text)) => Ok(text.to_string()),
        // 0o660 is as clear as "0660"; 660 is another number.
        (Octal, DeValue::Integer(number)) if number.radix() == 8 => Ok(number.as_str().into()),
        (Number | Seconds | Id | Size, DeValue::Integer(number)) => {
            // 0x10 and 0b1 are numbers in TOML only.
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            decimal.map(|number| number.to_string()).map_err(|_| "this number is too large".into())
        }
        (Seconds, DeValue::Float(number)) => Ok(number.as_str().into()),
        (kind, other) => {
            let expected = match kind {
                Nothing => "true or false",
                Number => "a whole number",
                Size => "a number of bytes, or a string such as \"10M\"",
                Seconds => "a number of seconds",
                Octal => "a string of octal digits, or a number that begins with 0o",
                Text | Path | Place | Id => "a string",
            };
            Err(format!("expected {expected}, found {}", type_name(other)))
        }
    }
}

/// A path as it is outside of the file.
fn from_folder(folder: &Path, path: &str) -> String {
    // Both are text: the folder came from the command line, which is.
    folder.join(path).to_string_lossy().into_owned()
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `; did you mean "port"?`, if a name is near enough.
fn suggestion(key: &str, groups: &[OptionGroup]) -> String {
    if NOT_IN_A_FILE.contains(&key) {
        return ": only the command line has it".into();
    }
    match cli::nearest(key, keys(groups)) {
        Some(name) => format!("; did you mean {name:?}?"),
        None => "; --help lists all of them".into(),
    }
}
