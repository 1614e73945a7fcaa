//! The completions of bash, zsh and fish (`docs/completions`) are made from the table of options.
//!
//! `STHENO_BLESS=1 cargo test --test completions` writes them again.

use std::fs;
use std::path::Path;
use std::process::Command;

use stheno::cli::{self, OptionSpec};
use stheno::config::{Config, options};

const NOTE: &str = "# Made from src/config/options.txt by tests/completions.rs; do not edit.";

fn all() -> Vec<OptionSpec> {
    let groups = options();
    cli::all(&groups).collect()
}

/// The words that an option takes, if it takes one of a few: those in backticks in its first sentence.
fn choices(option: &OptionSpec) -> Vec<String> {
    match option.arg {
        "on/off" => vec!["on".into(), "off".into()],
        "mode" | "level" => {
            let text = option.text();
            let first = text.split(". ").next().unwrap_or_default().to_string();
            first.split('`').skip(1).step_by(2).map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    }
}

/// The short form and the long one.
fn words(option: &OptionSpec) -> Vec<String> {
    let usage = option.usage.strip_suffix(option.arg).unwrap_or(option.usage);
    usage.split(", ").map(|word| word.trim().to_string()).collect()
}

fn is_generated(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/completions").join(file);
    if std::env::var_os("STHENO_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        fs::write(&path, text).expect("the file");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/completions/{file} differs from the table: run this test with STHENO_BLESS=1"
    );
}

#[test]
fn bash() {
    let mut cases = String::new();
    for option in all().iter().filter(|option| !option.arg.is_empty()) {
        let completed = match (option.arg, choices(option)) {
            ("folder", _) => "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$word\")".into(),
            ("file", _) => "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\")".into(),
            (_, words) if words.is_empty() => "COMPREPLY=()".into(),
            (_, words) => format!("mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")", words.join(" ")),
        };
        cases += &format!("        {}) {completed}; return ;;\n", words(option).join(" | "));
    }
    let every: Vec<String> = all().iter().flat_map(words).collect();
    is_generated(
        "stheno.bash",
        &format!(
            "{NOTE}\n_stheno() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}}\n    case ${{COMP_WORDS[COMP_CWORD-1]}} in\n\
             {cases}    esac\n    mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")\n\
             \x20   if [[ $word != -* ]]; then compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$word\"); fi\n}}\n\
             complete -F _stheno stheno\n",
            every.join(" ")
        ),
    );
}

/// Text inside single quotes of a shell.
fn quoted(text: &str) -> String {
    text.replace('\'', r"'\''")
}

#[test]
fn zsh() {
    let mut lines = String::new();
    for option in &all() {
        let help = quoted(&option.help()).replace('[', r"\[").replace(']', r"\]").replace(':', r"\:");
        let value = match (option.arg, choices(option)) {
            ("", _) => String::new(),
            ("folder", _) => ":folder:_files -/".into(),
            ("file", _) => ":file:_files".into(),
            (arg, words) if words.is_empty() => format!(":{arg}: "),
            (arg, words) => format!(":{arg}:({})", words.join(" ")),
        };
        let names = words(option);
        lines += &match names.as_slice() {
            [one] => format!("    '{}{one}[{help}]{value}' \\\n", if option.repeats { "*" } else { "" }),
            both => format!("    '({})'{{{}}}'[{help}]{value}' \\\n", both.join(" "), both.join(",")),
        };
    }
    let lines = lines.trim_end().trim_end_matches('\\').trim_end();
    is_generated(
        "_stheno",
        &format!("#compdef stheno\n{NOTE}\n_arguments -s \\\n{lines} \\\n    '1:folder:_files -/'\n"),
    );
}

#[test]
fn fish() {
    let mut lines = format!("{NOTE}\ncomplete -c stheno -f -a '(__fish_complete_directories)'\n");
    for option in &all() {
        let names: String = words(option)
            .iter()
            .map(|word| match word.strip_prefix("--") {
                Some(long) => format!(" -l {long}"),
                None => format!(" -s {}", word.trim_start_matches('-')),
            })
            .collect();
        let value = match (option.arg, choices(option)) {
            ("", _) => String::new(),
            ("folder", _) => " -x -a '(__fish_complete_directories)'".into(),
            ("file", _) => " -r -F".into(),
            (_, words) if words.is_empty() => " -x".into(),
            (_, words) => format!(" -x -a '{}'", words.join(" ")),
        };
        lines += &format!("complete -c stheno{names}{value} -d '{}'\n", option.help().replace('\'', r"\'"));
    }
    is_generated("stheno.fish", &lines);
}

/// A word that is offered is one that the server takes.
#[test]
fn every_choice_is_valid() {
    let mut offered = 0;
    for option in all() {
        for word in choices(&option) {
            offered += 1;
            Config::load(&[format!("--{}", option.name), word.clone()])
                .unwrap_or_else(|error| panic!("--{} {word}: {error:?}", option.name));
        }
    }
    assert!(offered >= 11, "{offered} words: three modes, six levels, on and off");
}

/// bash itself completes from the file.
#[test]
fn bash_completes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/completions/stheno.bash");
    let complete = |words: &[&str]| {
        let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let script = format!(
            "compopt() {{ :; }}; source '{}'; COMP_WORDS=({line}); COMP_CWORD={}; _stheno; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display(),
            words.len() - 1
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().expect("bash");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout)
            .expect("UTF-8")
            .split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(complete(&["stheno", "--acc"]), ["--accept", "--access-log", "--access-log-format"]);
    assert_eq!(complete(&["stheno", "--accept", "re"]), ["reuseport"]);
    assert_eq!(complete(&["stheno", "-r", "/us"]), ["/usr"]);
    assert_eq!(complete(&["stheno", "/us"]), ["/usr"], "a word alone is the folder");
    assert_eq!(complete(&["stheno", "--port", ""]), Vec::<String>::new());
    assert!(complete(&["stheno", "-"]).len() >= 40);
}
