//! The command line: what an option is, how words become values, and how `--help` is laid out.
//!
//! The options of a program are a text ([`table`]), for the server `src/config/options.txt`. `--help`, the keys of the
//! configuration file, the manual page and the table in `docs/SERVING.md` are made from it, and the struct that argh reads
//! the command line into ([`option_words`](crate::option_words)) is compared with it (`tests/options_table.rs`).

mod suggestion;

use argh::FromArgs;

pub(crate) use suggestion::nearest;

/// The option that a word without a dash stands for: `stheno site` is `stheno --root site`.
const POSITIONAL: &str = "root";

/// One option: its words, its default and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// The words that give the option: `-w, --workers n`.
    pub usage: &'static str,
    /// The long name without dashes, which is also the key in a configuration file.
    pub name: &'static str,
    /// The one-letter form with its dash; empty without one.
    short: &'static str,
    /// The placeholder of the value; empty for a switch.
    pub arg: &'static str,
    /// Whether the option may be given several times.
    pub repeats: bool,
    /// The default value, or what happens without the option, in parentheses; empty for nothing.
    default: &'static str,
    /// The text, with line breaks.
    text: &'static str,
}

/// Options under one heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionGroup {
    /// The heading, without a colon.
    pub heading: &'static str,
    /// The options, in the order of every listing.
    pub options: Vec<OptionSpec>,
}

/// The type of an option's value, which decides the types that a configuration file may use for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// No value: a switch.
    Nothing,
    /// Any text.
    Text,
    /// A path.
    Path,
    /// A place to listen, which may contain a path.
    Place,
    /// A number in octal digits.
    Octal,
    /// A name or a number.
    Id,
    /// A whole number.
    Number,
    /// Seconds, with or without decimals.
    Seconds,
}

/// Reads a table of options, a text in paragraphs: `== HEADING`, or an option with its default and its text below
/// it. Lines that begin with `#` are comments.
#[must_use]
pub fn table(text: &'static str) -> Vec<OptionGroup> {
    let mut groups = Vec::new();
    for paragraph in text.split("\n\n") {
        let paragraph = paragraph.trim_start_matches(|c: char| c.is_whitespace());
        let start =
            paragraph.lines().take_while(|line| line.starts_with('#')).map(|line| line.len() + 1).sum();
        let paragraph = paragraph.get(start..).unwrap_or_default().trim_end();
        if let Some(heading) = paragraph.strip_prefix("== ") {
            groups.push(OptionGroup { heading, options: Vec::new() });
        } else if let (Some((line, text)), Some(group)) = (paragraph.split_once('\n'), groups.last_mut()) {
            let (usage, default) = line.split_once(" = ").unwrap_or((line, ""));
            let (usage, repeats) = usage.strip_suffix("...").map_or((usage, false), |usage| (usage, true));
            let (short, long) = usage.split_once(", ").unwrap_or(("", usage));
            let (long, arg) = long.split_once(' ').unwrap_or((long, ""));
            let name = long.trim_start_matches('-');
            group.options.push(OptionSpec { usage, name, short, arg, repeats, default, text });
        }
    }
    groups
}

impl OptionSpec {
    /// The type of the value.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        match self.arg {
            "" => ValueKind::Nothing,
            "file" | "folder" => ValueKind::Path,
            "place" => ValueKind::Place,
            "octal" => ValueKind::Octal,
            "id" => ValueKind::Id,
            "n" | "ms" | "bytes" | "bytes/s" => ValueKind::Number,
            "seconds" => ValueKind::Seconds,
            _ => ValueKind::Text,
        }
    }

    /// The value that applies when none is given.
    #[must_use]
    pub fn default_value(&self) -> Option<&'static str> {
        Some(self.default).filter(|text| !text.is_empty() && !text.starts_with('('))
    }

    /// What happens without the option, where there is no default value; empty if that is plain.
    #[must_use]
    pub fn without(&self) -> &'static str {
        self.default.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or_default()
    }

    /// The whole text, in one line. Code is in backticks.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The first sentence of the text, as `--help` has it.
    #[must_use]
    pub fn help(&self) -> String {
        let text = self.text();
        text.split(". ").next().unwrap_or_default().trim_end_matches('.').replace('`', "")
    }

    fn is_called(&self, word: &str) -> bool {
        word.strip_prefix("--").map_or(word == self.short && !word.is_empty(), |name| name == self.name)
    }
}

/// One option that was given, with its value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The option.
    pub option: OptionSpec,
    /// The value; empty for a switch.
    pub value: String,
    /// The line of the configuration file that has it, from 1; `None` for the command line.
    pub line: Option<usize>,
}

/// The words of a command line, as argh reads them: a struct that [`option_words`](crate::option_words) declares.
pub trait OptionWords: FromArgs {
    /// The options that are given, by their names with underscores, and their values.
    fn given(self) -> Vec<(&'static str, String)>;
}

/// Declares the struct that argh reads a command line into: the options of the server, and those in the braces. Names
/// and texts of the options are in their table; `tests/options_table.rs` compares.
#[macro_export]
macro_rules! option_words {
    ($(#[$doc:meta])* $visible:vis struct $name:ident { $($more:ident),* }) => {
        $crate::option_words! { @declare $(#[$doc])* $visible struct $name,
            switches:
                defer_accept,
                tls_self_signed,
                listing, no_listing, dotfiles, no_symlinks, follow_symlinks, precompressed, no_server_header,
                clean_urls, spa,
                qr, open,
                check, version,
                require_sandbox,
                auth_without_tls;
            values:
                host, port ('p'), unix_mode, workers ('w'), root ('r'), accept,
                max_age, file_cache,
                mime_types, default_type,
                index, spa_file,
                config, explain,
                log, logfile, access_log, access_log_format, pidfile,
                status, status_path, record, record_when_turn_exceeds,
                grace, worker_timeout,
                user, group, sandbox,
                auth, forwarded_field,
                header_timeout, keepalive_timeout, body_timeout, min_body_rate, write_timeout, min_write_rate,
                linger_timeout,
                max_connections, max_connections_per_ip, max_requests_per_connection, max_target_bytes,
                max_field_bytes, max_fields, max_header_bytes, max_body_bytes
                $(, $more)*;
            lists:
                listen,
                tls_cert, tls_key, redirect_http,
                header, cache, cors,
                error_page,
                explain_header,
                allow, proxy_protocol, forwarded_from;
        }
    };
    (@declare $(#[$doc:meta])* $visible:vis struct $name:ident, switches: $($switch:ident),*;
        values: $($value:ident $(($letter:literal))?),*; lists: $($list:ident),*;) => {
        $(#[$doc])*
        #[derive(Debug, argh::FromArgs)]
        $visible struct $name {
            $(#[doc = "as in the table"] #[argh(switch)] $switch: bool,)*
            $(#[doc = "as in the table"] #[argh(option $(, short = $letter)?)] $value: Option<String>,)*
            $(#[doc = "as in the table"] #[argh(option)] $list: Vec<String>,)*
        }

        impl $crate::cli::OptionWords for $name {
            fn given(self) -> Vec<(&'static str, String)> {
                let mut given = Vec::new();
                $(given.extend(self.$switch.then(|| (stringify!($switch), String::new())));)*
                $(given.extend(self.$value.map(|value| (stringify!($value), value)));)*
                $(given.extend(self.$list.into_iter().map(|value| (stringify!($list), value)));)*
                given
            }
        }
    };
}

option_words! {
    /// The command line of the server.
    pub struct ServerWords {}
}

/// Reads the words after the program's name: `--port 8080`, `--port=8080`, `-w 4`, `-w=4` and `-w4`. Nothing is
/// read after `--help` or `--version`.
///
/// # Errors
/// One line that says what is wrong.
pub fn parse<W: OptionWords>(groups: &[OptionGroup], words: &[String]) -> Result<Vec<Setting>, String> {
    let words = separate(groups, words)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let given = match W::from_args(&["stheno"], &words) {
        Ok(words) => words.given(),
        Err(exit) if exit.status.is_ok() => vec![("help", String::new())],
        Err(exit) => return Err(exit.output.split_whitespace().collect::<Vec<_>>().join(" ")),
    };
    let find = |name: &str| all(groups).find(|option| option.name.replace('-', "_") == name);
    let setting = |(name, value)| Some(Setting { option: find(name)?, value, line: None });
    Ok(given.into_iter().filter_map(setting).collect())
}

/// Separates values that are joined to their option, as argh wants them, puts the option's name before a word that
/// stands alone, and says more of an unknown option than argh can. After `--` every word stands alone.
fn separate(groups: &[OptionGroup], words: &[String]) -> Result<Vec<String>, String> {
    let (mut separate, mut words, mut alone) = (Vec::new(), words.iter(), Vec::new());
    while let Some(word) = words.next() {
        if word == "--" {
            alone.extend(words);
            break;
        }
        if !word.starts_with('-') {
            alone.push(word);
            continue;
        }
        let (name, joined) = split(word);
        let option = all(groups)
            .find(|option| option.is_called(name) && !suggestion::is_long(word, groups))
            .ok_or_else(|| format!("unknown option {word:?}{}", suggestion::of(word, groups)))?;
        separate.push(format!("--{}", option.name));
        if matches!(option.name, "help" | "version") {
            return Ok(separate);
        }
        match (option.kind(), joined) {
            (ValueKind::Nothing, Some(_)) => return Err(format!("{name} takes no value")),
            (ValueKind::Nothing, None) => {}
            (_, Some(value)) => separate.push(value.into()),
            (_, None) => separate.extend(words.next().cloned()),
        }
    }
    separate.extend(positional(&separate, &alone)?);
    Ok(separate)
}

/// The words of the option that the words without a dash stand for.
fn positional(others: &[String], alone: &[&String]) -> Result<Vec<String>, String> {
    let option = format!("--{POSITIONAL}");
    match alone {
        [] => Ok(Vec::new()),
        [one] if !others.contains(&option) => Ok(vec![option, (*one).clone()]),
        [one] => Err(format!("{one:?} and -r both name the folder to serve: leave one out")),
        [first, second, ..] => {
            Err(format!("one folder is served, and {first:?} and {second:?} are two words"))
        }
    }
}

/// Every option of these groups.
pub fn all(groups: &[OptionGroup]) -> impl Iterator<Item = OptionSpec> {
    groups.iter().flat_map(|group| group.options.iter().copied())
}

/// Splits a word into the option's name and the value that is joined to it.
fn split(word: &str) -> (&str, Option<&str>) {
    let has_letter = word.len() > 2 && word.starts_with('-') && word.is_char_boundary(2);
    if has_letter && !word.starts_with("--") {
        let (name, value) = word.split_at(2);
        return (name, Some(value.strip_prefix('=').unwrap_or(value)));
    }
    word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)))
}

/// Columns of `--help`: where the meaning begins, and where lines end.
const MEANING: usize = 26;
const WIDTH: usize = 80;

/// The option section of `--help`.
#[must_use]
pub fn help(groups: &[OptionGroup]) -> String {
    let mut text = String::new();
    for group in groups {
        text += &format!("\n{}:\n", group.heading);
        for option in &group.options {
            let default = option.default_value().unwrap_or(option.without());
            let default = if default.is_empty() { String::new() } else { format!(" (default: {default})") };
            text += &row(option.usage, &(option.help() + &default));
        }
    }
    text
}

/// A head and a text beside it, wrapped; a head that is too wide has a line to itself.
fn row(head: &str, text: &str) -> String {
    let mut lines = vec![format!("  {head}")];
    if head.len() + 4 > MEANING {
        lines.push(String::new());
    }
    let mut line = format!("{:MEANING$}", lines.pop().unwrap_or_default());
    for word in text.split_whitespace() {
        if line.len() + word.len() > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(MEANING)));
        }
        line = line + word + " ";
    }
    lines.push(line);
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &[&str]) -> Result<Vec<(&'static str, String)>, String> {
        let words: Vec<String> = line.iter().map(ToString::to_string).collect();
        let settings = parse::<ServerWords>(&table(include_str!("config/options.txt")), &words)?;
        Ok(settings.into_iter().map(|setting| (setting.option.name, setting.value)).collect())
    }

    #[test]
    fn every_way_to_give_a_value() {
        let spaced = given(&["--port", "8080", "-w", "4", "-r", "a=b", "--listen", "-"]);
        assert_eq!(spaced, given(&["--port=8080", "-w=4", "-r=a=b", "--listen=-"]));
        assert_eq!(spaced, given(&["--port=8080", "-w4", "-ra=b", "--listen=-"]));
        let listed = spaced.expect("words").into_iter().map(|(name, value)| format!("{name} {value}"));
        assert_eq!(listed.collect::<Vec<_>>(), ["port 8080", "workers 4", "root a=b", "listen -"]);
        for value in ["--x=y", "-h", "-w4", "--port", ""] {
            assert_eq!(given(&["-r", value]), Ok(vec![("root", value.to_string())]), "looks like an option");
        }
    }

    #[test]
    fn switches_and_repetitions() {
        let twice = given(&["--listing", "--listing", "--listen", "a", "--listen", "b"]).expect("words");
        assert_eq!(twice.len(), 3);
        assert_eq!(
            given(&["-h", "--nonsense"]),
            Ok(vec![("help", String::new())]),
            "nothing is read after it"
        );
    }

    #[test]
    fn a_word_alone_is_the_root() {
        for line in [&["-p", "1", "site"][..], &["site", "-p1"], &["-p=1", "--", "site"]] {
            let mut found = given(line).expect("words");
            found.sort_unstable();
            assert_eq!(found, [("port", "1".to_string()), ("root", "site".to_string())]);
        }
        assert_eq!(given(&["--", "--port"]), Ok(vec![("root", "--port".to_string())]));
    }

    #[test]
    fn wrong_words_are_one_line() {
        for (line, says) in [
            (&["--prot", "1"][..], "unknown option \"--prot\"; did you mean --port?"),
            (&["--xyzzy"], "unknown option \"--xyzzy\""),
            (&["a", "b"], "one folder is served, and \"a\" and \"b\" are two words"),
            (&["a", "-r", "b"], "\"a\" and -r both name the folder to serve: leave one out"),
            (&["-r", "a", "--", "-b"], "\"-b\" and -r both name the folder to serve: leave one out"),
            (&["-port", "80"], "unknown option \"-port\"; did you mean --port?"),
            (&["-root=site"], "unknown option \"-root=site\"; did you mean --root?"),
            (&["--listning"], "unknown option \"--listning\"; did you mean --listing?"),
            (&["--bind", "::"], "unknown option \"--bind\"; did you mean --host?"),
            (&["-d", "site"], "unknown option \"-d\"; give the folder as a word of its own: stheno FOLDER"),
            (&["-"], "unknown option \"-\""),
            (&["-é"], "unknown option \"-é\""),
            (&["--port"], "No value provided for option '--port'."),
            (&["--listing=yes"], "--listing takes no value"),
            (
                &["--port", "1", "--port", "2"],
                "Error parsing option '--port' with value '2': duplicate values provided",
            ),
        ] {
            assert_eq!(given(line), Err(says.to_string()));
        }
    }

    #[test]
    fn help_is_wrapped() {
        let text = help(&table(include_str!("config/options.txt")));
        assert!(text.lines().all(|line| line.len() <= WIDTH) && !text.contains('`'), "{text}");
    }
}
