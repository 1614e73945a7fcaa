//! The values that command line and configuration file give.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::error::{ConfigError, Sources};
use super::file;
use crate::cli::{self, OptionGroup, OptionSpec, OptionWords, Setting, ValueKind};

/// No time limit is shorter or longer: below, nothing could be answered; above, it would be no limit.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

/// The values of all options.
#[derive(Clone, Debug)]
pub struct Values {
    groups: Vec<OptionGroup>,
    settings: Vec<Setting>,
    sources: Sources,
}

impl Values {
    /// Reads the words after the program's name, and the file that `--config` names. The command line wins. Options are
    /// those of `groups`.
    ///
    /// # Errors
    /// The first mistake in either of them.
    pub fn read<W: OptionWords>(groups: Vec<OptionGroup>, words: &[String]) -> Result<Self, ConfigError> {
        let settings = cli::parse::<W>(&groups, words).map_err(ConfigError::Usage)?;
        Self::with_file(groups, settings)
    }

    /// The values of `settings`, and of the file that their `config` names. Options are those of `groups`.
    ///
    /// # Errors
    /// The first mistake in the file.
    pub fn with_file(groups: Vec<OptionGroup>, settings: Vec<Setting>) -> Result<Self, ConfigError> {
        let mut values = Self { groups, settings, sources: Sources::default() };
        values.sources.add(&values.settings);
        if let Some(path) = values.path("config") {
            let found = file::read(&path, &values.groups)?;
            values.add(found);
        }
        Ok(values)
    }

    /// Adds the settings of another source, for options that are not set so far.
    pub fn add(&mut self, mut found: Vec<Setting>) {
        found.retain(|setting| match setting.option.name {
            // The places of the command line replace those of the file.
            "listen" => !["listen", "host", "port"].iter().any(|name| self.has(name)),
            name @ ("host" | "port") => !self.has("listen") && !self.has(name),
            "listing" | "no-listing" => !self.has("listing") && !self.has("no-listing"),
            // They are pairs.
            "tls-cert" | "tls-key" => !["tls-cert", "tls-key"].iter().any(|name| self.has(name)),
            name => !self.has(name),
        });
        self.sources.add(&found);
        self.settings.append(&mut found);
    }

    /// The places of these values, for errors that come later.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether command line or file give this option; for a switch, whether it is on.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Every value that is given for an option.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.settings
            .iter()
            .filter(move |setting| setting.option.name == name)
            .map(|setting| setting.value.as_str())
    }

    /// The value of an option, or its default.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let default = || self.option(name)?.default_value();
        self.all(name).next().or_else(default)
    }

    fn option(&self, name: &str) -> Option<OptionSpec> {
        cli::all(&self.groups).find(|option| option.name == name)
    }

    /// The value of an option that has a default.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The value of an option as a path.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// The value of an option as a number within `range`.
    ///
    /// # Errors
    /// When the value is none.
    pub fn number<T>(&self, name: &str, range: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let (text, is_size) =
            (self.text(name), self.option(name).is_some_and(|option| option.kind() == ValueKind::Size));
        let number = match is_size {
            true => cli::bytes(text).and_then(|bytes| bytes.to_string().parse().ok()),
            false => text.parse().ok(),
        };
        let unit = if is_size { ", which may have a unit: k, M or G" } else { "" };
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            self.usage(name, &format!("give a number from {} to {}{unit}", range.start(), range.end()))
        })
    }

    /// The value of an option as a time in seconds.
    ///
    /// # Errors
    /// When the value is none, or no sensible one.
    pub fn seconds(&self, name: &str) -> Result<Duration, ConfigError> {
        let seconds =
            self.text(name).parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds
            .filter(|time| TIMES.contains(time))
            .ok_or_else(|| self.usage(name, "give seconds, from 0.001 to 86400"))
    }

    /// As [`Values::seconds`], where 0 has a meaning of its own.
    ///
    /// # Errors
    /// As [`Values::seconds`].
    pub fn seconds_or_zero(&self, name: &str) -> Result<Duration, ConfigError> {
        if self.text(name).parse() == Ok(0.0) { Ok(Duration::ZERO) } else { self.seconds(name) }
    }

    /// The error of an option whose value is not valid; `wanted` says what to give instead.
    #[must_use]
    pub fn usage(&self, name: &str, wanted: &str) -> ConfigError {
        self.invalid(name, self.text(name), wanted)
    }

    /// As [`Values::usage`], for `value`, which is one of several.
    pub(crate) fn invalid(&self, name: &str, value: &str, wanted: &str) -> ConfigError {
        let word = self.option(name).map_or(name, |option| option.shown_name());
        self.sources.invalid(name, word, value, wanted)
    }
}
