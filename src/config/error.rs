//! The errors of a configuration, with the place of the option that they are about.

use std::collections::BTreeMap;

use crate::cli::Setting;

/// Why there is no configuration, in one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A word of the command line is wrong: exit code 2.
    Usage(String),
    /// A line of the configuration file, or another place outside of the command line, is wrong: exit code 2.
    File(String),
    /// Something outside of both is wrong: exit code 1.
    Start(String),
}

impl ConfigError {
    /// The line itself.
    #[must_use]
    pub fn into_line(self) -> String {
        let (Self::Usage(line) | Self::File(line) | Self::Start(line)) = self;
        line
    }
}

/// The places that options come from, by their names; those of the command line are not here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    places: BTreeMap<&'static str, String>,
}

impl Sources {
    pub(super) fn add(&mut self, settings: &[Setting]) {
        let place = |setting: &Setting| Some((setting.option.name, setting.place.clone()?));
        self.places.extend(settings.iter().filter_map(place));
    }

    /// `FILE:LINE: KEY`, if the option is set in the file. `option` may have its dashes.
    #[must_use]
    pub fn place(&self, option: &str) -> Option<String> {
        self.places.get(option.trim_start_matches("--")).cloned()
    }

    /// The error of an option whose value is valid, but leads to a failure that `line` describes.
    #[must_use]
    pub fn start_error(&self, option: &str, line: String) -> ConfigError {
        ConfigError::Start(self.place(option).map_or(line.clone(), |place| format!("{place}: {line}")))
    }

    /// The error of an option with a value that is not valid; `wanted` says what to give instead. On the command line the
    /// option is called `word`.
    pub(super) fn invalid(&self, name: &str, word: &str, value: &str, wanted: &str) -> ConfigError {
        // A switch has none.
        let value = if value.is_empty() { String::new() } else { format!(" {value:?}") };
        match self.place(name) {
            Some(place) => ConfigError::File(format!("{place}{value}: {wanted}")),
            None => ConfigError::Usage(format!("--{word}{value}: {wanted}")),
        }
    }
}
