//! What may be wrong with a configuration, and where it stands.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why there is no configuration; each a line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A word of the command line: exit code 2.
    Usage(String),
    /// A line of the configuration file: exit code 2.
    File(String),
    /// Something outside of both: exit code 1.
    Start(String),
}

/// What is wrong with one option, wherever it stands.
#[derive(Debug)]
pub(super) struct Fault {
    option: &'static str,
    line: String,
    /// Whether it is the value itself that is wrong, and not what it leads to.
    is_usage: bool,
}

impl Fault {
    /// This value cannot be one of this option; `wanted` says what to give instead.
    pub(super) fn usage(option: &'static str, value: &str, wanted: &str) -> Self {
        Self { option, line: format!("{value:?}: {wanted}"), is_usage: true }
    }

    /// What this option asks for cannot be had, as `line` says.
    pub(super) fn start(option: &'static str, line: String) -> Self {
        Self { option, line, is_usage: false }
    }
}

/// Which options stand in a configuration file, and where; those of the command line do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    file: PathBuf,
    lines: BTreeMap<&'static str, usize>,
}

impl Sources {
    /// Options by their long name without dashes, with the line of `file` where each stands, from 1.
    pub(super) fn new(file: PathBuf, lines: BTreeMap<&'static str, usize>) -> Self {
        Self { file, lines }
    }

    /// The file and the line where an option stands, if it is one of the file: `FILE:LINE: KEY`.
    #[must_use]
    pub fn place(&self, option: &str) -> Option<String> {
        let name = option.trim_start_matches("--");
        self.lines.get(name).map(|line| format!("{}:{line}: {name}", self.file.display()))
    }

    pub(super) fn explain(&self, fault: Fault) -> ConfigError {
        let Fault { option, line, is_usage } = fault;
        match (self.place(option), is_usage) {
            (Some(place), true) => ConfigError::File(format!("{place} {line}")),
            (Some(place), false) => ConfigError::Start(format!("{place}: {line}")),
            (None, true) => ConfigError::Usage(format!("{option} {line}")),
            (None, false) => ConfigError::Start(line),
        }
    }
}
