//! A rung of the ladder, started as a student starts it, on a port of its own.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// Nothing in these tests takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What has come out of a rung on one of its streams, growing.
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
    /// It has ended, and all that it has started.
    is_over: bool,
    pub address: SocketAddr,
}

/// Everything that a rung has said until its end.
#[derive(Debug)]
pub struct Transcript {
    pub status: ExitStatus,
    pub out: Vec<String>,
    pub err: Vec<String>,
}

/// The program.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(crate::example::path(name));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end: for starts that fail. Answers exit code, standard output and error.
pub fn run(name: &str, options: &[&str]) -> (i32, String, String) {
    let output = command(name).args(options).output().expect("the rung");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

impl Rung {
    /// Starts it on any free port, with these options beside.
    pub fn start(name: &str, options: &[&str]) -> Self {
        Self::start_with(name, options, Stdio::piped())
    }

    /// As [`Rung::start`], for those who make it log more than is worth reading.
    pub fn start_quiet(name: &str, options: &[&str]) -> Self {
        Self::start_with(name, options, Stdio::null())
    }

    fn start_with(name: &str, options: &[&str], stderr: Stdio) -> Self {
        let mut command = command(name);
        // A group of its own: whatever it forks can be ended with it.
        command.args(["--port", "0"]).args(options).stderr(stderr).process_group(0);
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

    /// How many descriptors its first process has.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid().as_raw_nonzero());
        std::fs::read_dir(folder).expect("descriptors").count()
    }

    /// Waits until it has no more than so many: what has been served has been closed.
    pub fn wait_for_descriptors(&self, most: usize) {
        let until = Instant::now() + PATIENCE;
        while self.descriptors() > most {
            assert!(Instant::now() < until, "{} descriptors, and there were {most}", self.descriptors());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a line with `text` has come on standard output, and answers it.
    pub fn wait_for_out(&self, text: &str) -> String {
        self.out.wait_for(text)
    }

    /// Waits until a line with `text` has come on standard error, and answers it.
    pub fn wait_for(&self, text: &str) -> String {
        self.err.wait_for(text)
    }

    /// What has come on standard error.
    pub fn err(&self) -> Vec<String> {
        self.err.lines()
    }

    /// Ends it as Ctrl+C does, and hears it out; nothing that it has started may be left.
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
        // The streams end when the last process that has them does: there is none left.
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

    fn wait_for(&self, text: &str) -> String {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            let is_over = left.is_zero() || self.is_over.load(Ordering::SeqCst);
            assert!(!is_over, "it never said {text:?}: {lines:?}");
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

/// Nothing of it is left running, however the test ends.
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

/// Some bytes, as they come; 0 at the end. A read with a time-out is interrupted when the process is stopped and
/// goes on (signal(7)).
pub fn read_some(client: &mut TcpStream, piece: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match client.read(piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Waits for the end, before which nothing comes.
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
