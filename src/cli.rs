//! The command line: what an option is, how words become values, and how `--help` is laid out.
//!
//! The options of a program are a text ([`table`]), for the server `src/config/options.txt`. `--help`, the keys of the
//! configuration file, the manual page and the table in `docs/SERVING.md` are made from it, and the struct that argh reads
//! the command line into ([`option_words`](crate::option_words)) is compared with it (`tests/options_table.rs`).

mod suggestion;

use argh::FromArgs;

pub(crate) use suggestion::nearest;

/// The option of the server whose value may be a word alone: `stheno site` is `stheno --root site`.
const POSITIONAL: &str = "root";

/// One option: its words, its default and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// The words that give the option: `-w, --workers n`.
    pub usage: &'static str,
    /// The long name without dashes, which is also the key in a configuration file.
    pub name: &'static str,
    /// Another long name, which comes first in the words and in errors; empty without one.
    alias: &'static str,
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
    /// A number of bytes, or of units: `10M`.
    Size,
    /// Seconds, with or without decimals.
    Seconds,
}

/// Reads a table of options, a text in paragraphs: `== HEADING`, or an option with its default and its text below
/// it. Lines that begin with `#` are comments.
#[must_use]
pub fn table(text: &'static str) -> Vec<OptionGroup> {
    table_from(text, &[])
}

/// As [`table`], where a paragraph of one line, `--NAME` or `--NAME = DEFAULT`, is the option of that name in `shared`.
#[must_use]
pub fn table_from(text: &'static str, shared: &[OptionGroup]) -> Vec<OptionGroup> {
    let mut groups = Vec::new();
    for paragraph in text.split("\n\n") {
        let paragraph = paragraph.trim_start_matches(|c: char| c.is_whitespace());
        let start =
            paragraph.lines().take_while(|line| line.starts_with('#')).map(|line| line.len() + 1).sum();
        let paragraph = paragraph.get(start..).unwrap_or_default().trim_end();
        if let Some(heading) = paragraph.strip_prefix("== ") {
            groups.push(OptionGroup { heading, options: Vec::new() });
        } else if let Some(group) = groups.last_mut() {
            let option = match paragraph.split_once('\n') {
                Some((line, text)) => Some(OptionSpec::read(line, text)),
                None => OptionSpec::read(paragraph, "").found_in(shared),
            };
            group.options.extend(option);
        }
    }
    groups
}

impl OptionSpec {
    /// Reads the first line of a paragraph: `-b, --bind, --listen place... = DEFAULT`.
    fn read(line: &'static str, text: &'static str) -> Self {
        let (usage, default) = line.split_once(" = ").unwrap_or((line, ""));
        let (usage, repeats) = usage.strip_suffix("...").map_or((usage, false), |usage| (usage, true));
        let (words, arg) =
            usage.rsplit_once(' ').filter(|(_, arg)| !arg.starts_with('-')).unwrap_or((usage, ""));
        let (mut short, mut alias, mut name) = ("", "", "");
        for word in words.split(", ") {
            match word.strip_prefix("--") {
                Some(long) => alias = std::mem::replace(&mut name, long),
                None => short = word,
            }
        }
        Self { usage, name, alias, short, arg, repeats, default, text }
    }

    /// The option of the same name in `shared`, with this default if there is one.
    fn found_in(self, shared: &[OptionGroup]) -> Option<Self> {
        let found = all(shared).find(|option| option.name == self.name)?;
        Some(Self { default: if self.default.is_empty() { found.default } else { self.default }, ..found })
    }

    /// The long names, the one for errors first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.alias, self.name].into_iter().filter(|name| !name.is_empty())
    }

    /// The name for errors.
    #[must_use]
    pub fn shown_name(&self) -> &'static str {
        self.names().next().unwrap_or_default()
    }

    /// Whether this is one of the option's long names, without dashes.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

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
            "size" => ValueKind::Size,
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
        word.strip_prefix("--").map_or(word == self.short && !word.is_empty(), |name| self.is_named(name))
    }
}

/// One option that was given, with its value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The option.
    pub option: OptionSpec,
    /// The value; empty for a switch.
    pub value: String,
    /// The place that gives it, for errors: `FILE:LINE: KEY`, for example; `None` for the command line.
    pub place: Option<String>,
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
                grace, drain_delay, worker_timeout,
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
    let given = separate(groups, POSITIONAL, words)?;
    let names: Vec<String> = given.iter().map(|(option, _)| format!("--{}", option.name)).collect();
    let words = names.iter().zip(&given).flat_map(|(name, (_, value))| [Some(name), value.as_ref()]);
    let words: Vec<&str> = words.flatten().map(String::as_str).collect();
    let given = match W::from_args(&["stheno"], &words) {
        Ok(words) => words.given(),
        Err(exit) if exit.status.is_ok() => vec![("help", String::new())],
        Err(exit) => return Err(exit.output.split_whitespace().collect::<Vec<_>>().join(" ")),
    };
    let find = |name: &str| all(groups).find(|option| option.name.replace('-', "_") == name);
    let setting = |(name, value)| Some(Setting { option: find(name)?, value, place: None });
    Ok(given.into_iter().filter_map(setting).collect())
}

/// As [`parse`], for a program without a struct for argh: the table alone says what there is. A word without a dash is
/// the value of the option `positional`.
///
/// # Errors
/// One line that says what is wrong.
pub fn parse_by_table(
    groups: &[OptionGroup],
    positional: &str,
    words: &[String],
) -> Result<Vec<Setting>, String> {
    let mut settings: Vec<Setting> = Vec::new();
    for (option, value) in separate(groups, positional, words)? {
        let is_switch = option.kind() == ValueKind::Nothing;
        let name = option.shown_name();
        if value.is_none() && !is_switch {
            return Err(format!("--{name}: give a value"));
        }
        if !option.repeats && !is_switch && settings.iter().any(|other| other.option == option) {
            return Err(format!("--{name} is given twice: leave one out"));
        }
        settings.push(Setting { option, value: value.unwrap_or_default(), place: None });
    }
    Ok(settings)
}

/// Separates values that are joined to their option, finds the option of a word alone, and says more of an
/// unknown option than argh can. After `--` every word stands alone. A switch has no value, nor has an option at the end.
fn separate(
    groups: &[OptionGroup],
    positional: &str,
    words: &[String],
) -> Result<Vec<(OptionSpec, Option<String>)>, String> {
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
        if matches!(option.name, "help" | "version") {
            separate.push((option, None));
            return Ok(separate);
        }
        let value = match (option.kind(), joined) {
            (ValueKind::Nothing, Some(_)) => return Err(format!("{name} takes no value")),
            (ValueKind::Nothing, None) => None,
            (_, Some(value)) => Some(value.into()),
            (_, None) => words.next().cloned(),
        };
        separate.push((option, value));
    }
    let option = all(groups).find(|option| option.name == positional);
    if let Some(option) = option {
        let word = word_alone(&option, separate.iter().any(|(other, _)| *other == option), &alone)?;
        separate.extend(word.map(|word| (option, Some(word.clone()))));
    }
    Ok(separate)
}

/// The word without a dash, which is the value of `option`, unless that is given by its name as well.
fn word_alone<'a>(
    option: &OptionSpec,
    is_given: bool,
    alone: &[&'a String],
) -> Result<Option<&'a String>, String> {
    let OptionSpec { arg, usage, .. } = option;
    let word = usage.split([',', ' ']).next().unwrap_or_default();
    match alone {
        [] => Ok(None),
        [one] if !is_given => Ok(Some(one)),
        [one] => Err(format!("{one:?} and {word} both name the {arg} to serve: leave one out")),
        [first, second, ..] => {
            Err(format!("one {arg} is served, and {first:?} and {second:?} are two words"))
        }
    }
}

/// The number of bytes in `64k`, `10M`, `1GiB` or a number alone.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let text = text.strip_suffix('i').unwrap_or(text);
    let unit = [('k', 10), ('m', 20), ('g', 30)].into_iter().find(|(unit, _)| text.ends_with(*unit));
    let (digits, shift) = unit.map_or((text, 0), |(_, shift)| (&text[..text.len() - 1], shift));
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
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

    const OTHERS: &str = "== Others

--app module = x
    What is served.

--port = 80

-b, --bind, --listen place...
    Where.

--max-body, --max-body-bytes size = 1G
    How much.";

    #[test]
    fn a_table_may_share_rows() {
        let groups = table_from(OTHERS, &table(include_str!("config/options.txt")));
        let line = |line: &str| -> Result<Vec<String>, String> {
            let words: Vec<String> = line.split(' ').map(ToString::to_string).collect();
            let settings = parse_by_table(&groups, "app", &words)?;
            Ok(settings.iter().map(|one| format!("{}={}", one.option.name, one.value)).collect::<Vec<_>>())
        };
        let port = all(&groups).find(|option| option.name == "port").expect("it is shared");
        assert_eq!((port.usage, port.default_value()), ("-p, --port n", Some("80")));
        let want = ["listen=a", "listen=b", "listen=c", "max-body-bytes=1", "app=m:f"];
        assert_eq!(line("-b a --bind=b --listen c m:f --max-body 1"), Ok(want.map(String::from).to_vec()));
        for (words, says) in [
            ("--port", "--port: give a value"),
            ("--max-body 1 --max-body-bytes 2", "--max-body is given twice: leave one out"),
            ("--max-bdy 1", "unknown option \"--max-bdy\"; did you mean --max-body?"),
            ("a b", "one module is served, and \"a\" and \"b\" are two words"),
            ("a --app b", "\"a\" and --app both name the module to serve: leave one out"),
        ] {
            assert_eq!(line(words), Err(says.into()));
        }
    }

    #[test]
    fn sizes() {
        for (text, want) in [
            ("0", Some(0)),
            ("64k", Some(65_536)),
            ("10MB", Some(10 << 20)),
            ("1GiB", Some(1 << 30)),
            ("k", None),
            ("", None),
            ("1.5k", None),
            ("1T", None),
            ("99999999999G", None),
        ] {
            assert_eq!(bytes(text), want, "{text}");
        }
    }

    #[test]
    fn help_is_wrapped() {
        let text = help(&table(include_str!("config/options.txt")));
        assert!(text.lines().all(|line| line.len() <= WIDTH) && !text.contains('`'), "{text}");
    }
}
