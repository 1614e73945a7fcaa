//! The server, started as a user starts it, on a free port.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::client::Client;
use super::example;

/// The limit for every wait of these tests; only a hanging server reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The lines of the server on standard error so far.
#[derive(Debug, Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

#[derive(Debug)]
pub struct Server {
    child: Child,
    said: Arc<Said>,
    pub addresses: Vec<SocketAddr>,
    /// The files of its Unix sockets.
    pub files: Vec<PathBuf>,
    pub workers: Vec<i32>,
}

/// The program that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// The server itself.
    Reactor,
    /// Its twin (`examples/tokio_httpd.rs`): processes with a single-threaded runtime each.
    Prefork,
    /// Its twin: one process with several threads.
    Threads,
}

impl Front {
    /// The front that this test crate is named after.
    pub fn of_this_crate() -> Self {
        match env!("CARGO_CRATE_NAME") {
            "twin_prefork" => Self::Prefork,
            "twin_threads" => Self::Threads,
            _ => Self::Reactor,
        }
    }

    /// The name of the program in its error messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reactor => "stheno",
            Self::Prefork | Self::Threads => "tokio_httpd",
        }
    }

    /// The number of worker processes that `-w workers` starts.
    pub fn processes(self, workers: usize) -> usize {
        if self == Self::Threads { 1 } else { workers }
    }

    /// The accept mode that the front uses when `mode` is requested.
    pub fn accept(self, mode: &str) -> &str {
        if self != Self::Reactor && mode == "exclusive" { "shared" } else { mode }
    }

    fn program(self) -> Command {
        let lane = match self {
            Self::Reactor => return Command::new(stheno()),
            Self::Prefork => "prefork",
            Self::Threads => "threads",
        };
        let mut command = Command::new(example::path("tokio_httpd", &[]));
        command.args(["--runtime", lane]);
        command
    }
}

/// The server: what cargo has built, or the program in `STHENO_PROGRAM`, which `scripts/platforms` has built for another
/// system.
pub fn stheno() -> String {
    std::env::var("STHENO_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_stheno").into())
}

/// The command, without environment variables that affect it.
pub fn command() -> Command {
    command_of(Front::of_this_crate())
}

fn command_of(front: Front) -> Command {
    let mut command = front.program();
    command.stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("STHENO_FORCE_FALLBACK");
    command
}

fn prepared(
    mut command: Command,
    root: &Path,
    options: &[&str],
    prepare: impl FnOnce(&mut Command),
) -> Command {
    command.arg("-r").arg(root).stdout(Stdio::null()).stderr(Stdio::piped());
    if !options.contains(&"--port") {
        command.args(["--port", "0"]);
    }
    if !options.contains(&"--access-log") {
        command.args(["--access-log", "off"]);
    }
    command.args(options);
    prepare(&mut command);
    command
}

impl Server {
    /// Serves `root` on a free port, with these additional options.
    pub fn start(root: &Path, options: &[&str]) -> Self {
        Self::start_with(root, options, |_| {})
    }

    /// As [`Server::start`], after `prepare` has changed the command.
    pub fn start_with(root: &Path, options: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        Self::start_command(command(), root, options, prepare)
    }

    /// As [`Server::start_with`], with another command, which must become the server.
    pub fn start_command(
        command: Command,
        root: &Path,
        options: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        Self::run(prepared(command, root, options, prepare))
    }

    /// As [`Server::start`], with the given front.
    pub fn start_front(front: Front, root: &Path, options: &[&str]) -> Self {
        Self::start_command(command_of(front), root, options, |_| {})
    }

    /// Serves with a configuration file and these options only.
    pub fn start_from_file(path: &str, options: &[&str]) -> Self {
        let mut command = command();
        command.args(["--config", path]).args(options).stdout(Stdio::null()).stderr(Stdio::piped());
        Self::run(command)
    }

    /// As [`Server::start`], under strace(1) with the expression `what` (`trace=CALL`, `inject=CALL:error=NAME`), which
    /// applies to all its processes and is reported in the file `traces`; `None` where strace may not trace. The server is still a child of this process.
    pub fn start_traced(root: &Path, options: &[&str], what: &str, traces: &Path) -> Option<Self> {
        let probe = Command::new("strace").args(["-qf", "-o", "/dev/null", "-e", what, "true"]).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut command = Command::new("strace");
        // -D: the tracer is a grandchild, and the started process is the server itself.
        command.args(["-D", "-qf", "-e", what, "-o"]).arg(traces);
        let server = Front::of_this_crate().program();
        command.arg(server.get_program()).args(server.get_args()).arg("-r").arg(root);
        command.args(["--port", "0", "--access-log", "off"]).args(options);
        command.env_remove("RUST_LOG").env_remove("STHENO_FORCE_FALLBACK");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Some(Self::run(command))
    }

    /// Runs a command that becomes the server, with standard error as a pipe.
    pub fn run(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the server");
        let said = Arc::new(Said::default());
        let stderr = child.stderr.take().expect("standard error");
        let listener = Arc::clone(&said);
        std::thread::spawn(move || listener.listen(stderr));
        said.wait_for("  stop ");
        let lines = said.lines.lock().expect("lines").clone();
        let after = |name: &str| -> Vec<String> {
            let prefix = format!("  {name:<9}");
            lines.iter().filter_map(|line| line.strip_prefix(&prefix)).map(String::from).collect()
        };
        let address = |url: &String| {
            let begin = url.find("://").map_or(0, |at| at + 3);
            url[begin..url.find("/ (").unwrap_or(url.len() - 1)].parse()
        };
        let pids = after("workers").concat();
        let pids = pids.split_once("(pid ").expect("pids").1.trim_end_matches(')');
        let (files, urls): (Vec<String>, Vec<String>) =
            after("url").into_iter().partition(|url| url.starts_with("unix:"));
        Self {
            child,
            said,
            addresses: urls.iter().map(|url| address(url).expect("an address")).collect(),
            files: files.iter().map(|url| url["unix:".len()..].into()).collect(),
            workers: pids.split(", ").map(|pid| pid.parse().expect("a pid")).collect(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Connects to its first Unix socket.
    pub fn connect_unix(&self) -> Client {
        Client::connect_unix(&self.files[0])
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// The longest response time of another client's small requests (`/ok`), until `stop`.
    pub fn longest_wait(&self, stop: &AtomicBool) -> Duration {
        let mut client = self.connect();
        let mut longest = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) {
            let asked = Instant::now();
            assert_eq!(client.get("/ok", "").status, 200);
            longest = longest.max(asked.elapsed());
            std::thread::sleep(Duration::from_micros(200));
        }
        longest
    }

    pub fn master(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Waits for a line that contains `text`, and returns it.
    pub fn wait_for(&self, text: &str) -> String {
        self.said.wait_for(text)
    }

    /// All lines so far.
    pub fn said(&self) -> Vec<String> {
        // Also works in a test that failed while it held the lock.
        self.said.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The number of lines so far that contain `text`.
    pub fn count_said(&self, text: &str) -> usize {
        self.said().iter().filter(|line| line.contains(text)).count()
    }

    pub fn signal(&self, signal: Signal) {
        send(self.master(), signal);
    }

    /// Waits until the master has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(Instant::now() < until, "the server does not end: {:?}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as Ctrl+C does.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::INT);
        self.wait()
    }

    /// Its child processes.
    pub fn children(&self) -> Vec<i32> {
        children(self.master())
    }
}

/// Stops the other threads of a test, also when it fails.
#[derive(Debug)]
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Said {
    fn listen(&self, stderr: impl Read) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            self.lines.lock().expect("lines").push(line);
            self.more.notify_all();
        }
    }

    fn wait_for(&self, text: &str) -> String {
        let mut lines = self.lines.lock().expect("lines");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the server has not logged {text:?}: {lines:?}");
            lines = self.more.wait_timeout(lines, left).expect("lines").0;
        }
    }
}

/// Ends the server with its test, and checks that no process is left.
impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().expect("wait").is_none() {
            let children = self.children();
            let status = self.stop();
            if std::thread::panicking() {
                println!("the server said {:#?}", self.said());
            } else {
                assert!(status.success(), "{status}: {:?}", self.said());
                assert!(!children.iter().any(|pid| is_running(*pid)), "a worker is left");
            }
        }
    }
}

pub fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("kill");
}

/// The child processes of `pid`.
pub fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
    text.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
}

/// Whether the process runs; a zombie does not.
pub fn is_alive(pid: i32) -> bool {
    state(Path::new(&format!("/proc/{pid}"))).is_some_and(|state| state != 'Z')
}

/// Stops the process, and waits until all of its threads have stopped. Each thread stops when it next enters
/// the kernel; until then it may accept connections.
pub fn halt(pid: i32) {
    send(pid, Signal::STOP);
    eventually("all its threads have stopped", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
        let mut folders = tasks.map(|task| task.expect("a thread").path());
        folders.all(|task| matches!(state(&task), Some('T' | 't') | None))
    });
}

/// The state letter in proc(5) of a process or a thread, while it exists.
fn state(folder: &Path) -> Option<char> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

pub fn is_running(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Waits until the process listens, and returns the address, which is found by the inodes of its sockets in
/// proc(5). For servers that cannot print it.
pub fn listening(pid: u32) -> SocketAddr {
    let mut found = None;
    eventually("it listens", || {
        let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.into()))
            .collect();
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
        found = table.lines().skip(1).find_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let listens = columns[3] == "0A" && inodes.iter().any(|inode| inode == columns[9]);
            let port = u16::from_str_radix(columns[1].split_once(':')?.1, 16).ok()?;
            listens.then(|| ([127, 0, 0, 1], port).into())
        });
        found.is_some()
    });
    found.expect("an address")
}

/// Waits until `done` returns true, by polling.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the command to its end, for failing starts. Returns exit code, standard output and standard error.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = command().args(arguments).output().expect("the command");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}
