//! A rung of the ladder, started as a student starts it, on a free port.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// The limit for every wait of these tests; only a hanging rung reaches it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The lines of one output stream so far.
#[derive(Debug, Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    is_over: AtomicBool,
    more: Condvar,
}

#[derive(Debug)]
pub struct Rung {
    child: Child,
    out: Arc<Said>,
    err: Arc<Said>,
    listeners: Vec<JoinHandle<()>>,
    /// The rung and all of its processes have ended.
    is_over: bool,
    pub address: SocketAddr,
}

/// The whole output of a rung.
#[derive(Debug)]
pub struct Transcript {
    pub status: ExitStatus,
    pub out: Vec<String>,
    pub err: Vec<String>,
}

/// The program: a rung, or its twin in Python, `python/NAME`.
pub fn command(name: &str) -> Command {
    let mut command = if name.starts_with("python/") {
        twin(name)
    } else {
        Command::new(crate::example::path(name, &crate::programs()))
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // The log of a rung that panics is the same wherever the tests run.
    command.env("RUST_BACKTRACE", "0");
    command
}

/// A program in Python. asyncore and asynchat are in Python up to 3.11, and on PyPI.
fn twin(name: &str) -> Command {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = project.join("examples").join(name).with_extension("py");
    let (needs, pythons) = if name.contains("async_server") {
        ("import asynchat, asyncore", &["python3", "python3.11", "target/oracle/bin/python"][..])
    } else {
        ("", &["python3"][..])
    };
    let has = |python: &&&str| {
        let mut tried = Command::new(python);
        tried.args(["-W", "ignore", "-c", needs]).current_dir(project);
        tried.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let found = pythons.iter().find(has);
    let python = found.unwrap_or_else(|| {
        panic!(
            "{name} needs Python 3.9 or later{}",
            if needs.is_empty() {
                ""
            } else {
                ", with asyncore and asynchat: python3 -m venv target/oracle && target/oracle/bin/pip install \
                 pyasyncore pyasynchat"
            }
        )
    });
    // A path with folders is looked up from where the test runs, and `python3` in the PATH.
    let python = if python.contains('/') { project.join(python) } else { python.into() };
    let mut command = Command::new(python);
    // Up to 3.11 Python says that asyncore is going to be removed. No file is left in the tree.
    command.args(["-W", "ignore::DeprecationWarning", "-B"]).arg(script);
    command
}

/// Runs a rung to its end, for failing starts. Returns exit code, standard output and standard error.
pub fn run(name: &str, options: &[&str]) -> (i32, String, String) {
    let output = command(name).args(options).output().expect("the rung");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

impl Rung {
    /// Starts it on a free port, with these additional options.
    pub fn start(name: &str, options: &[&str]) -> Self {
        Self::start_with(name, options, Stdio::null(), Stdio::piped())
    }

    /// As [`Rung::start`], without the log, for rungs that log very much.
    pub fn start_quiet(name: &str, options: &[&str]) -> Self {
        Self::start_with(name, options, Stdio::null(), Stdio::null())
    }

    /// As [`Rung::start`], with a pipe to its standard input.
    pub fn start_with_input(name: &str, options: &[&str]) -> (Self, ChildStdin) {
        let mut rung = Self::start_with(name, options, Stdio::piped(), Stdio::piped());
        let input = rung.child.stdin.take().expect("standard input");
        (rung, input)
    }

    fn start_with(name: &str, options: &[&str], stdin: Stdio, stderr: Stdio) -> Self {
        let mut command = command(name);
        // A process group of its own, so that all of its processes can be killed together.
        command.args(["--port", "0"]).args(options).stdin(stdin).stderr(stderr).process_group(0);
        let mut child = command.spawn().expect("the rung");
        let (out, err) = (Arc::new(Said::default()), Arc::new(Said::default()));
        let mut listeners = vec![listen(child.stdout.take().expect("standard output"), &out)];
        listeners.extend(child.stderr.take().map(|stderr| listen(stderr, &err)));
        let address = ([127, 0, 0, 1], 0).into();
        let mut rung = Self { child, out, err, listeners, is_over: false, address };
        let line = rung.wait_for_out("S");
        let port: String =
            line.chars().rev().skip_while(|c| *c == ')').take_while(char::is_ascii_digit).collect();
        let port: String = port.chars().rev().collect();
        rung.address.set_port(port.parse().unwrap_or_else(|_| panic!("no port in {line:?}")));
        rung
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The number of descriptors of its first process.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid().as_raw_nonzero());
        std::fs::read_dir(folder).expect("descriptors").count()
    }

    /// Waits until it has at most `most` descriptors, which shows that served connections are closed.
    pub fn wait_for_descriptors(&self, most: usize) {
        let until = Instant::now() + PATIENCE;
        while self.descriptors() > most {
            assert!(Instant::now() < until, "{} descriptors, and there were {most}", self.descriptors());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a line with `text` on standard output, and returns it.
    pub fn wait_for_out(&self, text: &str) -> String {
        self.out.wait_for(&[text], &mut 0)
    }

    /// Waits for a line with `text` on standard error, and returns it.
    pub fn wait_for(&self, text: &str) -> String {
        self.err.wait_for(&[text], &mut 0)
    }

    /// As [`Rung::wait_for`], for a line with all of these, from line `from` on, which is then the line after it.
    pub fn wait_for_next(&self, texts: &[&str], from: &mut usize) -> String {
        self.err.wait_for(texts, from)
    }

    /// As [`Rung::wait_for_out`], from line `from` on, which is then the line after it.
    pub fn wait_for_next_out(&self, text: &str, from: &mut usize) -> String {
        self.out.wait_for(&[text], from)
    }

    /// The lines on standard error so far.
    pub fn err(&self) -> Vec<String> {
        self.err.lines()
    }

    /// Ends it as Ctrl+C does, and returns its output; checks that no process is left.
    pub fn stop(self) -> Transcript {
        rustix::process::kill_process(self.pid(), Signal::INT).expect("kill");
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Transcript {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("wait") {
                Some(status) => break status,
                None => assert!(Instant::now() < until, "it does not end: {:?}", self.err.lines()),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // The streams end with the last process that holds them.
        while !self.listeners.iter().all(JoinHandle::is_finished) {
            assert!(Instant::now() < until, "a process of it is left");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.is_over = true;
        Transcript { status, out: self.out.lines(), err: self.err.lines() }
    }
}

impl Said {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait_for(&self, texts: &[&str], from: &mut usize) -> String {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + PATIENCE;
        loop {
            let found = lines
                .iter()
                .enumerate()
                .skip(*from)
                .find(|(_, line)| texts.iter().all(|text| line.contains(text)));
            if let Some((at, line)) = found {
                *from = at + 1;
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            let is_over = left.is_zero() || self.is_over.load(Ordering::SeqCst);
            assert!(!is_over, "the rung has not printed {texts:?}: {lines:?}");
            lines = self.more.wait_timeout(lines, left).expect("lines").0;
        }
    }
}

fn listen(stream: impl Read + Send + 'static, said: &Arc<Said>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            said.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            said.more.notify_all();
        }
        let _lines = said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        said.is_over.store(true, Ordering::SeqCst);
        said.more.notify_all();
    })
}

/// Kills all of its processes, also when the test fails.
impl Drop for Rung {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let _ = rustix::process::kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads some bytes; returns 0 at the end. Stopping the process interrupts a read with a time-out (signal(7)).
pub fn read_some(client: &mut TcpStream, piece: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match client.read(piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Expects the end without further bytes.
pub fn expect_end(client: &mut TcpStream) {
    assert_eq!(read_some(client, &mut [0; 1]).expect("an end, and no reset"), 0);
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_nodelay(true).expect("no delay");
    stream
}
