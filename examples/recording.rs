//! What can be done with the recording of a loop (docs/RECORDINGS.md).
//!
//! - `cargo run --example recording -- lines FILE…`: the lines of `--loop`.
//! - `cargo run --example recording -- doctor FILE…`: what is wrong with this loop, and what to do.
//! - `cargo run --example recording -- chrome FILE`: JSON for ui.perfetto.dev and chrome://tracing.
//!
//! With the recordings of all workers of a server, `doctor` also compares what each accepted.

#[path = "shared/command.rs"]
mod command;
#[path = "shared/seed.rs"]
mod seed;

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::FromArgs;
use stheno::recording::{Doctor, Finding, FindingKind, NO_KEY, Recording};

/// How many findings of one kind a list for people shows.
const SHOWN: usize = 5;

#[derive(FromArgs)]
#[argh(description = "Shows a recording of a loop.")]
struct Args {
    #[argh(subcommand)]
    what: What,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum What {
    Lines(Lines),
    Doctor(Examine),
    Chrome(Chrome),
}

#[derive(FromArgs)]
#[argh(subcommand, name = "lines", description = "Prints a line for each turn.")]
struct Lines {
    /// a recording
    #[argh(positional, arg_name = "file")]
    file: PathBuf,

    /// more of them
    #[argh(positional, arg_name = "more")]
    more: Vec<PathBuf>,
}

#[derive(FromArgs)]
#[argh(subcommand, name = "doctor", description = "Says what is wrong with a loop, and what to do.")]
struct Examine {
    /// print a list in JSON
    #[argh(switch)]
    json: bool,

    /// a recording
    #[argh(positional, arg_name = "file")]
    file: PathBuf,

    /// those of the other workers, to be compared with it
    #[argh(positional, arg_name = "more")]
    more: Vec<PathBuf>,
}

#[derive(FromArgs)]
#[argh(subcommand, name = "chrome", description = "Prints trace events in JSON, for ui.perfetto.dev.")]
struct Chrome {
    /// a recording
    #[argh(positional, arg_name = "file")]
    file: PathBuf,
}

fn main() -> ExitCode {
    command::main(show)
}

fn show(args: Args) -> io::Result<()> {
    let text = match args.what {
        What::Lines(Lines { file, more }) => {
            let files = [vec![file], more].concat();
            read_all(&files)?.iter().map(Recording::lines).collect()
        }
        What::Doctor(Examine { json, file, more }) => {
            let files = [vec![file], more].concat();
            examine(&files, &read_all(&files)?, json)
        }
        What::Chrome(Chrome { file }) => read(&file)?.to_chrome(),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // A reader such as head(1) has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn read_all(files: &[PathBuf]) -> io::Result<Vec<Recording>> {
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> io::Result<Recording> {
    let name = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| name(&error))?;
    Recording::parse(&bytes).map_err(|error| name(&error))
}

fn examine(files: &[PathBuf], recordings: &[Recording], json: bool) -> String {
    let mut each: Vec<(&Recording, &Path, Vec<Finding>)> = recordings
        .iter()
        .zip(files)
        .map(|(recording, file)| (recording, file.as_path(), Doctor::examine(recording)))
        .collect();
    let shared = Doctor::compare(recordings);
    if json {
        each[0].2.extend(shared);
        let objects = each.iter().flat_map(|(recording, _, findings)| {
            findings.iter().map(|finding| finding.to_json(&recording.show_key(finding.key)))
        });
        return format!("[{}]\n", objects.collect::<Vec<_>>().join(",\n "));
    }
    let mut text = String::new();
    for (_, file, findings) in &each {
        if each.len() > 1 {
            let _ = writeln!(text, "{}", file.display());
        }
        text += &list(findings);
    }
    text + &shared.iter().map(line).collect::<String>()
}

/// The findings for people: the worst of each kind first, and not more than fits a screen.
fn list(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "nothing is wrong\n".into();
    }
    let mut text = String::new();
    let mut kinds: Vec<FindingKind> = Vec::new();
    for finding in findings {
        if !kinds.contains(&finding.kind) {
            kinds.push(finding.kind);
        }
    }
    for kind in kinds {
        let mut all: Vec<&Finding> = findings.iter().filter(|finding| finding.kind == kind).collect();
        all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        text.extend(all.iter().take(SHOWN).map(|finding| line(finding)));
        if all.len() > SHOWN {
            let _ = writeln!(text, "… and {} more of this kind (`--json` has all)", all.len() - SHOWN);
        }
    }
    text
}

fn line(finding: &Finding) -> String {
    let at = if finding.key == NO_KEY && finding.turn == 0 {
        String::new()
    } else {
        format!(" turn {}", finding.turn)
    };
    format!("{}{at}: {}\n    {}\n", finding.severity.word(), finding.text, finding.cure)
}
