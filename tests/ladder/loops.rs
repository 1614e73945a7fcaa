//! `--loop`: what each rung tells of its loop in one conversation is compared with `tests/golden/loop`.
//!
//! Every step of the conversation waits for the lines of the turns that the step before it has caused. What still differs
//! between two runs is replaced, or left out:
//!
//! * times by `T`, but for `∞` and the 60 s of `select`, which are in the program; a hook that took long does not say so;
//! * what happens in a turn is on lines of its own: whether it fits beside the times depends on them;
//! * ports by the letters of their clients, and descriptors by numbers in order of appearance, because a test inherits some;
//! * turns in which nothing happens are left out, and the others are numbered again. A signal ends a wait with such a
//!   turn if the loop waits already; Tokio's timers end a wait early, and it wakes for sockets that no task waits for.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};

use crate::rung::{Rung, Transcript};

/// A rung, and the lines that end its answer to each step. Each text is looked for after the one before it; a `*` is
/// where a line may say that a hook took long.
pub struct Loop {
    pub name: &'static str,
    /// The lines of a connection; `{}` is the number of its task.
    connect: &'static [&'static str],
    /// The lines of a message, or of a request and its response.
    say: &'static [&'static str],
    /// The line of an end.
    close: &'static str,
}

impl Loop {
    const fn new(
        name: &'static str,
        connect: &'static [&'static str],
        say: &'static [&'static str],
        close: &'static str,
    ) -> Self {
        Self { name, connect, say, close }
    }

    pub fn is_echo(&self) -> bool {
        self.name.starts_with("tcp_")
    }

    /// Whether it accepts a client only after the response to the one before.
    fn is_single(&self) -> bool {
        self.name == "web_waker"
    }
}

/// Every rung that has a loop.
pub const LOOPS: &[Loop] = &[
    Loop::new("tcp_select", &["accept_handler"], &["send_handler"], "closed"),
    Loop::new("tcp_mio", &["accept (event)", "read nothing"], &["wrote"], "closed"),
    Loop::new("tcp_reactor", &["handle_read (again)"], &["handle_write"], "closed"),
    Loop::new("tcp_chat", &["handle_read (again)"], &["wrote"], "closed"),
    Loop::new("tcp_tokio", &["task {} poll (new)*Pending"], &["wrote"], "closed"),
    Loop::new("web_select", &["accept (ready)"], &["closed"], ""),
    Loop::new("web_reactor", &["handle_read (again)"], &["closed"], ""),
    Loop::new(
        "web_waker",
        &["poll (wake)*closed", "poll (new)*Pending"],
        &["read", "wrote", "poll (new)*Pending"],
        "",
    ),
    Loop::new(
        "web_executor",
        &["task {}: new", "task {} poll (wake)*Pending"],
        &["task {} poll (wake)*read", "task {} poll (wake)*wrote"],
        "",
    ),
    Loop::new(
        "web_futures",
        &["task {} poll (wake)*Pending", "task {} poll (wake)*Pending", "task {} poll (wake)*Pending"],
        &["read", "task {} poll (wake)*wrote", "Watch*handle_wake (wake)*closed"],
        "",
    ),
    Loop::new("web_tokio", &["task {} poll (new)*Pending"], &["closed"], ""),
    Loop::new("async_server_step1", &["handle_read (again)"], &["panic*closed"], ""),
    Loop::new("async_server_step2", &["handle_read (again)"], &["read"], "closed"),
    Loop::new("async_server_step3", &["handle_read (again)"], &["closed"], ""),
];

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What came of a conversation.
pub struct Told {
    transcript: Transcript,
    /// The ports of the clients.
    clients: [u16; 2],
    /// What the clients have sent and received.
    pub sent: u64,
    pub received: u64,
}

/// A rung that talks to two clients.
struct Conversation<'a> {
    rung: Rung,
    rungs_loop: &'a Loop,
    /// The first line of the log that was not waited for.
    from: usize,
    sent: u64,
    received: u64,
}

impl Conversation<'_> {
    fn wait_for(&mut self, texts: &[&str], client: usize) {
        for text in texts {
            // The first task accepts.
            let text = text.replace("{}", &(client + 2).to_string());
            let pieces: Vec<&str> = text.split('*').collect();
            self.rung.wait_for_next(&pieces, &mut self.from);
        }
    }

    fn connect(&mut self, client: usize) -> TcpStream {
        let socket = self.rung.connect();
        self.wait_for(self.rungs_loop.connect, client);
        socket
    }

    fn say(&mut self, socket: &mut TcpStream, client: usize, text: &[u8]) {
        socket.write_all(text).expect("send");
        self.sent += text.len() as u64;
        self.wait_for(self.rungs_loop.say, client);
        if self.rungs_loop.is_echo() {
            let mut heard = vec![0; text.len()];
            socket.read_exact(&mut heard).expect("an echo");
            self.received += text.len() as u64;
        } else if self.rungs_loop.close.is_empty() {
            self.received += socket.read_to_end(&mut Vec::new()).expect("an answer") as u64;
        }
    }

    fn wait_for_close(&mut self) {
        if !self.rungs_loop.close.is_empty() {
            self.wait_for(&[self.rungs_loop.close], 0);
        }
    }
}

/// Two clients: A speaks, B connects, B speaks, A closes its sending half, B closes. Where the server closes after its
/// response, B connects before A asks, unless it serves one client at a time.
pub fn converse(rungs_loop: &Loop, options: &[&str]) -> Told {
    let place = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(place.path().join("index.html"), "<p>Hello").expect("a file");
    let root = place.path().to_str().expect("UTF-8");
    let mut all = options.to_vec();
    match rungs_loop.name {
        "async_server_step3" => all.extend(["-r", root]),
        name if name.starts_with("web_") => all.extend(["--db", "30"]),
        _ => {}
    }
    let rung = Rung::start(rungs_loop.name, &[&["--loop"], &all[..]].concat());
    let mut conversation = Conversation { rung, rungs_loop, from: 0, sent: 0, received: 0 };
    conversation.wait_for(&["start"], 0);
    match rungs_loop.name {
        "web_executor" | "web_futures" => conversation.wait_for(&["task 1 poll (wake)*Pending"], 0),
        "web_waker" => conversation.wait_for(&["task 1 poll (new)*Pending"], 0),
        _ => {}
    }
    let (text, next): (&[u8], &[u8]) =
        if rungs_loop.is_echo() { (b"Hey server\n", b"Hi\n") } else { (REQUEST, REQUEST) };
    let mut first = conversation.connect(0);
    let mut early = (!rungs_loop.is_echo() && !rungs_loop.is_single()).then(|| conversation.connect(1));
    conversation.say(&mut first, 0, text);
    let mut second = early.take().unwrap_or_else(|| conversation.connect(1));
    conversation.say(&mut second, 1, next);
    let clients = [&first, &second].map(|client| client.local_addr().expect("an address").port());
    if !rungs_loop.close.is_empty() {
        first.shutdown(Shutdown::Write).expect("a half-close");
    }
    conversation.wait_for_close();
    drop(second);
    conversation.wait_for_close();
    let Conversation { rung, sent, received, .. } = conversation;
    let transcript = rung.stop();
    assert!(transcript.status.success(), "{transcript:?}");
    assert_eq!(transcript.out.last().map(String::as_str), Some("Shutting down"));
    Told { transcript, clients, sent, received }
}

impl Told {
    /// The lines of `--loop`, without what differs between two runs.
    fn lines(&self) -> String {
        let (mut text, mut number) = (String::new(), 0);
        for turn in turns(&self.transcript.err) {
            if let Some(turn) = without_differences(&turn, &mut number) {
                text += &turn;
            }
        }
        for (client, letter) in self.clients.iter().zip(["A", "B"]) {
            text = text.replace(&format!(":{client}"), &format!(":{letter}"));
        }
        without_descriptors(&text)
    }
}

/// The lines of each turn, without the rung's log.
fn turns(lines: &[String]) -> Vec<Vec<String>> {
    let mut turns: Vec<Vec<String>> = Vec::new();
    for line in lines {
        let is_head = line == "start" || line.starts_with("start  ") || line.starts_with("turn ");
        match turns.last_mut() {
            _ if is_head => turns.push(vec![line.clone()]),
            Some(turn) if line.starts_with("    ") => turn.push(line.clone()),
            _ => {}
        }
    }
    turns
}

/// A turn as the golden file has it; `None` if nothing happens in it. The last one had this number.
fn without_differences(turn: &[String], number: &mut usize) -> Option<String> {
    let (head, rest) = turn[0].split_once("  ").unwrap_or((&turn[0], ""));
    let (head, fact) = if head == "start" {
        (head.to_string(), rest)
    } else {
        let (wait, fact) = rest.split_once("  ").unwrap_or((rest, ""));
        if fact.is_empty() && turn.len() == 1 {
            return None;
        }
        *number += 1;
        (format!("turn {number}  {}", without_times(wait)), fact)
    };
    let mut text = if fact.is_empty() { head } else { format!("{head}\n    {fact}") };
    turn[1..].iter().for_each(|line| text = format!("{text}\n{line}"));
    Some(without_took(&(text + "\n")))
}

/// `waited 3.1 µs of 29 ms, 1 event` → `waited T of T, 1 event`.
fn without_times(wait: &str) -> String {
    let (times, events) = wait.split_once(", ").map_or((wait, String::new()), |(a, b)| (a, format!(", {b}")));
    match times.split_once(" of ") {
        Some((_, most @ ("∞" | "60 s"))) => format!("waited T of {most}{events}"),
        Some(_) => format!("waited T of T{events}"),
        None => format!("waited T{events}"),
    }
}

/// Removes `, took 3.1 ms`, and `: took 3.1 ms`.
fn without_took(text: &str) -> String {
    let mut pieces = text.split("took ");
    let mut result = pieces.next().expect("a piece").to_string();
    for piece in pieces {
        let after = piece.find([',', '\n']).expect("the end of a time");
        // What comes before it is a comma or a colon, and what comes after it needs that.
        match piece.as_bytes()[after] {
            b',' => result += piece[after + 1..].trim_start_matches(' '),
            _ => result = result.trim_end_matches([',', ':', ' ']).to_string() + &piece[after..],
        }
    }
    result
}

fn without_descriptors(text: &str) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut pieces = text.split("fd ");
    let mut result = pieces.next().expect("a piece").to_string();
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_digit()).expect("the end of a number");
        let (number, rest) = piece.split_at(end);
        let at = seen.iter().position(|this| *this == number).unwrap_or_else(|| {
            seen.push(number);
            seen.len() - 1
        });
        result += &format!("fd {}{rest}", at + 3);
    }
    result
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/loop/{name}.txt"))
}

/// The golden file of a rung.
pub fn golden(name: &str) -> String {
    std::fs::read_to_string(path(name)).expect("the golden file")
}

#[test]
fn each_tells_its_loop() {
    for rungs_loop in LOOPS {
        let (told, name) = (converse(rungs_loop, &[]).lines(), rungs_loop.name);
        for line in told.lines() {
            assert!(line.chars().count() <= 110, "{name}: a line is too long: {line}");
        }
        if std::env::var_os("STHENO_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::create_dir_all(path(name).parent().expect("a folder")).expect("a folder");
            std::fs::write(path(name), &told).expect("a golden file");
        }
        let golden = golden(name);
        assert!(told == golden, "{}:\n{golden}\nis not what came:\n{told}", path(name).display());
    }
}

/// Where the loops differ, their lines differ.
#[test]
fn no_two_tell_the_same() {
    for (at, one) in LOOPS.iter().enumerate() {
        for other in &LOOPS[at + 1..] {
            assert_ne!(golden(one.name), golden(other.name), "{} and {}", one.name, other.name);
        }
    }
    let tells = |name: &str, text: &str| golden(name).contains(text);
    for (text, told_by) in [
        ("asked about ", &["tcp_select", "web_select"][..]),
        ("registered for reading and writing", &["tcp_mio", "web_futures"]),
        (
            "handle_read (event)",
            &["tcp_reactor", "tcp_chat", "web_reactor", "web_futures", "async_server_step1"],
        ),
        ("woken", &["web_waker", "web_executor", "web_futures"]),
        ("Pending", &["web_waker", "web_executor", "web_futures", "tcp_tokio", "web_tokio"]),
        ("(deadline): Asking → Writing", &["web_reactor"]),
        ("panic", &["async_server_step1"]),
    ] {
        for name in
            ["tcp_select", "web_select", "tcp_mio", "tcp_reactor", "web_reactor", "web_futures", "tcp_tokio"]
        {
            assert_eq!(tells(name, text), told_by.contains(&name), "{name}: {text}");
        }
        assert!(told_by.iter().all(|name| tells(name, text)), "{text}");
    }
}

/// The excerpts in `examples/README.md` are lines of the golden files.
#[test]
fn the_readme_shows_what_they_tell() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/README.md");
    let readme = std::fs::read_to_string(readme).expect("the map");
    let section = readme.split("\n## Look inside\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let mut names = Vec::new();
    for block in section.split("    $ cargo run --example ").skip(1) {
        let (name, lines) = block.split_once(" -- --loop\n").expect("the option");
        let lines = lines.lines().map_while(|line| line.strip_prefix("    ")).map(String::from);
        let turns = turns(&lines.collect::<Vec<String>>());
        assert!(!turns.is_empty(), "{name}");
        let mut excerpt = String::new();
        for turn in &turns {
            let number = turn[0].split(' ').nth(1).and_then(|number| number.parse::<usize>().ok());
            let mut before = number.expect("the number of a turn") - 1;
            excerpt += &without_differences(turn, &mut before).expect("something happens");
        }
        assert!(golden(name).contains(&excerpt), "{name} does not tell this:\n{excerpt}");
        names.push(name);
    }
    assert_eq!(names, ["tcp_select", "tcp_mio", "tcp_reactor", "web_futures"]);
}
