//! Compares the output of a rung with a file that has the lab's lines.
//!
//! Ports, and the order of simultaneous events, differ between runs. So a port is replaced by `PORT` or its
//! client (`A`, `B`), lines about one client are grouped, and threads and processes are numbered in order of
//! appearance.

use std::path::Path;

use crate::rung::Transcript;

/// The rung whose log a twin in Python has: its own, but for asyncio.
pub fn model(name: &str) -> &str {
    match name.strip_prefix("python/") {
        Some("tcp_asyncio") => "tcp_tokio",
        Some(name) => name,
        None => name,
    }
}

/// Compares with `tests/golden/NAME.txt`, or writes it if `STHENO_GOLDEN=write`, but never by a twin.
pub fn compare(name: &str, transcript: &Transcript, port: u16, clients: &[u16]) {
    assert!(transcript.status.success(), "{transcript:?}");
    let text = normalise(transcript, port, clients);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{}.txt", model(name)));
    if name == model(name) && std::env::var_os("STHENO_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, &text).expect("a golden file");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file");
    assert!(text == golden, "{}:\n{golden}\nis not what came:\n{text}", path.display());
}

fn normalise(transcript: &Transcript, port: u16, clients: &[u16]) -> String {
    let rename = |line: &String| {
        let mut line = line.replace(&format!(":{port}"), ":PORT").replace(&format!(", {port})"), ", PORT)");
        for (client, letter) in clients.iter().zip(["A", "B"]) {
            line = line.replace(&format!(":{client}"), &format!(":{letter}"));
            line = line.replace(&format!(", {client})"), &format!(", {letter})"));
        }
        without_pid(&line)
    };
    let out: Vec<String> = transcript.out.iter().map(rename).collect();
    let err: Vec<String> = transcript.err.iter().map(rename).collect();
    let client_of =
        |line: &String| ["127.0.0.1:A", "127.0.0.1:B"].iter().position(|name| line.contains(name));
    let begin = err.iter().position(|line| client_of(line).is_some()).unwrap_or(err.len());

    // The first line is on standard output; the log follows, and then the last lines of standard output.
    let mut lines: Vec<String> = Vec::new();
    let first = out.len().min(1);
    // If standard output is the log, its order is kept.
    if transcript.err.is_empty() {
        return out.join("\n") + "\n";
    }
    lines.extend_from_slice(&out[..first]);
    lines.extend_from_slice(&err[..begin]);
    for client in [Some(0), Some(1), None] {
        lines.extend(err[begin..].iter().filter(|line| client_of(line) == client).cloned());
    }
    lines.extend_from_slice(&out[first..]);
    for kind in ["Thread", "Process"] {
        renumber(&mut lines, kind);
    }
    let threads_end = lines.iter().position(|line| line.ends_with("Shutting down thread"));
    if let Some(begin) = threads_end {
        let end = lines.iter().rposition(|line| line.ends_with("Shutting down thread")).expect("the last");
        lines[begin..=end].sort();
    }
    lines.join("\n") + "\n"
}

/// `name: 4711 message` → `name: PID message`.
fn without_pid(line: &str) -> String {
    match line.split_once(": ").and_then(|(name, rest)| Some((name, rest.split_once(' ')?))) {
        Some((name, (pid, message))) if !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{name}: PID {message}")
        }
        _ => line.to_string(),
    }
}

/// Numbers the threads or processes in order of appearance; the width of the field stays.
fn renumber(lines: &mut [String], kind: &str) {
    let mut seen: Vec<String> = Vec::new();
    for line in lines {
        let Some((before, rest)) = line.split_once(&format!("({kind}-")) else { continue };
        let (number, after) = rest.split_once(')').expect("a bracket");
        let width = kind.len() + 1 + number.len();
        let number = number.trim_end().to_string();
        let at = seen.iter().position(|this| *this == number).unwrap_or_else(|| {
            seen.push(number);
            seen.len() - 1
        });
        let name = format!("{kind}-{}", at + 1);
        *line = format!("{before}({name:<width$}){after}");
    }
}
