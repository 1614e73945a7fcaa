//! The options of the WSGI server, and the places that they come from: command line, configuration file and environment,
//! or the arguments of Python's `serve()`.

use std::path::PathBuf;

use crate::cli::{self, OptionGroup, Setting, ValueKind};
use crate::config::{self, ConfigError, Values};

/// The option whose value may be a word alone.
pub(super) const POSITIONAL: &str = "app";

/// Options that are for one run of the command.
pub(super) const COMMANDS: [&str; 3] = ["help", "version", "check"];

/// The options: some of the server's, and those of the application.
pub(super) fn options() -> Vec<OptionGroup> {
    cli::table_from(include_str!("options.txt"), &config::options())
}

/// Everything that is given. The configuration file is not here, because each reload reads it again.
#[derive(Debug)]
pub(super) struct GivenOptions {
    /// The command line, or the arguments of `serve()`.
    settings: Vec<Setting>,
    /// The variables `STHENO_*`.
    environment: Vec<Setting>,
    /// `$PORT`, `$WEB_CONCURRENCY` and `$FORWARDED_ALLOW_IPS`, which platforms set for every server.
    platform: Vec<Setting>,
    /// The current folder of the start.
    pub(super) folder: PathBuf,
}

impl GivenOptions {
    /// The arguments of a program. The environment does not count.
    pub(super) fn from_arguments(settings: Vec<Setting>) -> Self {
        let folder = std::env::current_dir().unwrap_or_default();
        let mut given = Self { settings, environment: Vec::new(), platform: Vec::new(), folder };
        // The current folder may be another when the file is read again.
        for setting in given.settings.iter_mut().filter(|setting| setting.option.name == "config") {
            setting.value = given.folder.join(&setting.value).to_string_lossy().into_owned();
        }
        given
    }

    /// The settings of a command line, and the variables that `variable` returns.
    ///
    /// # Errors
    /// A variable that cannot be a switch.
    pub(super) fn from_command(
        mut settings: Vec<Setting>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let (mut config, environment) = environment(&variable)?
            .into_iter()
            .partition::<Vec<_>, _>(|setting| setting.option.name == "config");
        if !settings.iter().any(|setting| setting.option.name == "config") {
            settings.append(&mut config);
        }
        Ok(Self { environment, platform: platform(&variable), ..Self::from_arguments(settings) })
    }

    /// Reads the configuration file. Returns all values.
    ///
    /// # Errors
    /// The first mistake in the file.
    pub(super) fn read(&self) -> Result<Values, ConfigError> {
        let mut values = Values::with_file(options(), self.settings.clone())?;
        values.add(self.environment.clone());
        // With another port, the host of `$PORT` does not count either.
        let has_port = values.has("port");
        let counts = |setting: &&Setting| !has_port || !["host", "port"].contains(&setting.option.name);
        values.add(self.platform.iter().filter(counts).cloned().collect());
        Ok(values)
    }
}

/// The variables `STHENO_NAME` of the options.
fn environment(variable: &impl Fn(&str) -> Option<String>) -> Result<Vec<Setting>, ConfigError> {
    let mut settings = Vec::new();
    for option in cli::all(&options()).filter(|option| !COMMANDS.contains(&option.name)) {
        for name in option.names() {
            let name = format!("STHENO_{}", name.to_ascii_uppercase().replace('-', "_"));
            let Some(text) = variable(&name) else { continue };
            let place = format!("environment: {name}");
            let values = match option.kind() {
                ValueKind::Nothing => switch(&text, &place)?,
                _ if option.repeats => words(&text),
                _ => vec![text],
            };
            let setting = |value| Setting { option, value, place: Some(place.clone()) };
            settings.extend(values.into_iter().map(setting));
        }
    }
    Ok(settings)
}

/// The values of an option that may be repeated. A list with commas may have spaces as well.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(|word| word.trim_end_matches(',').into()).collect()
}

/// The value of a switch, if it is on.
fn switch(text: &str, place: &str) -> Result<Vec<String>, ConfigError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(vec![String::new()]),
        "" | "0" | "false" | "no" | "off" => Ok(Vec::new()),
        _ => Err(ConfigError::File(format!("{place} {text:?}: give 1 or 0"))),
    }
}

/// `$PORT`, `$WEB_CONCURRENCY` and `$FORWARDED_ALLOW_IPS`, as gunicorn takes them: a platform that chooses the port needs every
/// address.
fn platform(variable: &impl Fn(&str) -> Option<String>) -> Vec<Setting> {
    let options = options();
    let option = |name: &str| cli::all(&options).find(|option| option.name == name);
    let get = |name| variable(name).filter(|text| !text.is_empty());
    let port = get("PORT").map(|port| [("port", port, "PORT"), ("host", "0.0.0.0".into(), "PORT")]);
    let workers = get("WEB_CONCURRENCY").map(|number| ("workers", number, "WEB_CONCURRENCY"));
    let proxies = get("FORWARDED_ALLOW_IPS").map(|list| ("forwarded-from", list, "FORWARDED_ALLOW_IPS"));
    let all = port.into_iter().flatten().chain(workers).chain(proxies);
    all.filter_map(|(name, value, variable)| {
        Some(Setting { option: option(name)?, value, place: Some(format!("environment: {variable}")) })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str, variables: &[(&str, &str)]) -> Values {
        let words: Vec<String> = line.split_whitespace().map(ToString::to_string).collect();
        let settings = cli::parse_by_table(&options(), POSITIONAL, &words).expect("words");
        let variable =
            |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.to_string());
        GivenOptions::from_command(settings, variable).and_then(|given| given.read()).expect("values")
    }

    #[test]
    fn the_port_of_a_platform_counts_where_no_place_is_given() {
        let place = |line: &str, port: &str| {
            let values = values(line, &[("PORT", port), ("WEB_CONCURRENCY", "3")]);
            assert_eq!(values.text("workers"), "3");
            format!("{}:{} {}", values.text("host"), values.text("port"), values.has("listen"))
        };
        assert_eq!(place("", "5000"), "0.0.0.0:5000 false");
        assert_eq!(place("", ""), "127.0.0.1:9000 false");
        assert_eq!(place("--host ::1", "5000"), "::1:5000 false");
        assert_eq!(place("--port 80", "5000"), "127.0.0.1:80 false");
        assert_eq!(place("-b :80", "5000"), "127.0.0.1:9000 true");
    }

    #[test]
    fn the_command_line_comes_before_the_environment() {
        let variables = [("STHENO_THREADS", "9"), ("STHENO_BIND", ":1 unix:/a"), ("STHENO_FACTORY", "yes")];
        let values = values("--threads 2", &variables);
        assert_eq!((values.text("threads"), values.has("factory")), ("2", true));
        assert_eq!(values.all("listen").collect::<Vec<_>>(), [":1", "unix:/a"]);
    }
}
