//! The whole machine, driven by a script that the input is.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use super::answers::{Answer, take_answer};
use super::driver::{Bench, LARGEST_ANSWER};
use super::reference::request_lines;
use crate::chat::FileSlice;
use crate::clock::Now;
use crate::http1::{Body, Limits, Method, Part, Reply, Request, Response, Service, Settings, Status};
use crate::server::WorkerService;

/// Most steps of one script.
const MOST_STEPS: usize = 64;

/// What an input says.
#[derive(Debug)]
struct Script<'a> {
    small_limits: bool,
    steps: Vec<Step>,
    /// What the peer sends; the rest of it when the steps are over.
    payload: &'a [u8],
}

/// What happens to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// So many bytes come at once.
    Send(usize),
    /// So many bytes come one by one, each in a turn of its own.
    Trickle(usize),
    /// A read gives so many bytes at the most from now on.
    ReadSize(usize),
    /// The peer takes so many bytes.
    Take(usize),
    /// The peer takes everything, now and from now on.
    TakeAll,
    /// Time goes by.
    Wait(Duration),
    /// Time goes by until the deadline.
    WaitForDeadline,
    /// The loop wakes the connection too early.
    Wake,
    /// The peer sends no more.
    HalfClose,
    /// The server shuts down.
    Drain,
}

impl Step {
    fn of(code: u8, argument: u8) -> Self {
        let argument = usize::from(argument);
        match code % 12 {
            0 => Self::Send(argument + 1),
            1 => Self::Send((argument + 1) * 64),
            2 => Self::Trickle(argument + 1),
            3 => Self::ReadSize(argument + 1),
            4 => Self::Take(argument + 1),
            5 => Self::Take((argument + 1) * 1024),
            6 => Self::TakeAll,
            7 => Self::Wait(Duration::from_millis(100 * argument as u64)),
            8 => Self::WaitForDeadline,
            9 => Self::Wake,
            10 => Self::HalfClose,
            _ => Self::Drain,
        }
    }

    /// Whether the answers must be the same with it as without it.
    fn is_a_mere_cut(self) -> bool {
        !matches!(self, Self::Wait(_) | Self::WaitForDeadline | Self::HalfClose | Self::Drain)
    }
}

impl<'a> Script<'a> {
    /// `limits count (code argument){count} payload`
    fn of(data: &'a [u8]) -> Self {
        let (head, rest) = data.split_at(data.len().min(2));
        let count = head.get(1).map_or(0, |count| usize::from(*count) % (MOST_STEPS + 1)).min(rest.len() / 2);
        let (steps, payload) = rest.split_at(2 * count);
        let steps = steps.chunks_exact(2).map(|step| Step::of(step[0], step[1])).collect();
        Script { small_limits: head.first().is_some_and(|flags| flags % 2 == 1), steps, payload }
    }

    fn settings(&self) -> Settings {
        let small = Limits {
            target: 40,
            field_line: 60,
            head: 256,
            body: 1000,
            drained_body: 100,
            lingering: 300,
            ..Limits::default()
        };
        let limits = if self.small_limits { small } else { Limits::default() };
        Settings { limits, ..Settings::default() }
    }
}

/// What must hold for any script.
///
/// The first byte chooses the limits, the second says how many steps there are, of two bytes each; what stands
/// behind them is what the peer sends.
pub fn connection(data: &[u8]) {
    let script = Script::of(data);
    let settings = script.settings();
    let answers = run(&script.steps, &script, &settings);
    if script.steps.iter().copied().all(Step::is_a_mere_cut) {
        let whole = run(&[], &script, &settings);
        assert_eq!(outline(&answers), outline(&whole), "a cut changes the answers");
    }
}

/// What may be compared without filling the screen.
fn outline(answers: &[Answer]) -> Vec<(u16, bool, usize)> {
    answers.iter().map(|answer| (answer.status, answer.closes, answer.body.len())).collect()
}

fn run(steps: &[Step], script: &Script<'_>, settings: &Settings) -> Vec<Answer> {
    let service = Recorder::default();
    let now = Now { wall: UNIX_EPOCH + Duration::from_secs(784_111_777), ..Now::ask() };
    let mut bench = Bench::new(settings, &service, now);
    let mut rest = script.payload;
    for step in steps {
        take_step(&mut bench, *step, &mut rest);
    }
    bench.0.memory.room = usize::MAX;
    if !bench.0.memory.is_ended {
        bench.0.memory.inbox.extend_from_slice(rest);
    }
    bench.settle();
    let undisturbed = steps.iter().copied().all(Step::is_a_mere_cut);
    let answers = Outcome::of(&bench, undisturbed).check(&bench.0.memory.sent, &service);
    // Nothing can come any more, and everything was taken.
    assert!(
        !bench.0.memory.is_ended || bench.connection().is_closed(),
        "waits in {}",
        bench.connection().state()
    );
    if undisturbed && !answers.last().is_some_and(|answer| answer.closes) {
        let (asked, sent) = (service.requests.borrow().len(), request_lines(script.payload).len());
        assert_eq!(asked, sent, "a request was passed over");
    }
    leave_alone(&mut bench);
    bench.0.close();
    service.check_boundaries(script.payload);
    let outcome = Outcome::of(&bench, false);
    let answers = outcome.check(&bench.0.memory.sent, &service);
    if !outcome.cut_short {
        let logged: Vec<_> = bench.0.records.iter().map(|this| (this.status.code(), this.sent)).collect();
        let want = answers.iter().map(|answer| (answer.status, answer.body.len() as u64));
        assert_eq!(logged, want.collect::<Vec<_>>(), "the log says something else");
    }
    answers
}

/// A peer that does nothing more is shown out, in whatever state the connection is.
fn leave_alone(bench: &mut Bench<'_, Recorder>) {
    // What is idle, is told that it is late, lingers, and is closed: no state waits twice.
    for _ in 0..4 {
        take_step(bench, Step::WaitForDeadline, &mut &b""[..]);
    }
    assert!(bench.connection().is_closed(), "{} for ever", bench.connection().state());
}

fn take_step(bench: &mut Bench<'_, Recorder>, step: Step, rest: &mut &[u8]) {
    let mut next = |most: usize| {
        let (now, later) = rest.split_at(most.min(rest.len()));
        *rest = later;
        now
    };
    match step {
        // Who has closed its half sends nothing.
        Step::Send(_) | Step::Trickle(_) if bench.0.memory.is_ended => {}
        Step::Send(count) => bench.0.memory.inbox.extend_from_slice(next(count)),
        Step::Trickle(count) => {
            for byte in next(count) {
                bench.0.memory.inbox.push(*byte);
                bench.settle();
            }
        }
        Step::ReadSize(size) => bench.0.memory.read_size = size,
        Step::Take(count) => bench.0.memory.room = bench.0.memory.room.saturating_add(count),
        Step::TakeAll => bench.0.memory.room = usize::MAX,
        Step::Wait(duration) => bench.later(duration),
        Step::WaitForDeadline => {
            let deadline = bench.connection().deadline(&bench.0.settings.timeouts);
            let wait = deadline.map(|deadline| deadline.saturating_duration_since(bench.0.now.monotonic));
            bench.later(wait.unwrap_or_default());
        }
        Step::Wake => bench.later(Duration::ZERO),
        Step::HalfClose => bench.0.memory.is_ended = true,
        Step::Drain => {
            bench.0.service.note_drain();
            bench.0.driver.drain(bench.0.now);
            bench.drive(|driver, io, cx| driver.flush(io, cx));
        }
    }
    bench.settle();
}

/// How a script has ended.
#[derive(Debug)]
struct Outcome {
    /// The peer did not read, and the rest was thrown away.
    cut_short: bool,
    /// Nothing but requests has ended the connection.
    undisturbed: bool,
    state: &'static str,
}

impl Outcome {
    fn of(bench: &Bench<'_, Recorder>, undisturbed: bool) -> Self {
        Self { cut_short: bench.connection().wants_reset(), undisturbed, state: bench.connection().state() }
    }

    /// Holds what was sent against what was asked.
    fn check(&self, mut sent: &[u8], service: &Recorder) -> Vec<Answer> {
        let requests = service.requests.borrow();
        let most = service.at_drain.get().map_or(usize::MAX, |asked| asked + 1);
        assert!(requests.len() <= most, "more than one request behind the shutdown");
        let mut answers: Vec<Answer> = Vec::new();
        while !sent.is_empty() {
            assert!(!answers.last().is_some_and(|answer| answer.closes), "an answer behind the last one");
            let answer = match requests.get(answers.len()) {
                Some(asked) => asked.take(&mut sent),
                None => take_refusal(&mut sent),
            };
            let Some(answer) = answer else {
                assert!(self.cut_short, "cut short: {:?}", String::from_utf8_lossy(sent));
                break;
            };
            answers.push(answer);
        }
        assert!(answers.len() <= requests.len() + 1, "more answers than requests");
        let closed = answers.last().is_some_and(|answer| answer.closes);
        if !self.cut_short {
            // One may wait for its body; behind a last answer nothing is asked any more.
            let waiting = usize::from(!closed);
            assert!(requests.len() <= answers.len() + waiting, "{} of {}", answers.len(), requests.len());
        }
        let is_over = matches!(self.state, "Lingering" | "Closed");
        assert!(!closed || is_over, "said close, and is {}", self.state);
        assert!(closed || !is_over || !self.undisturbed, "{} without a word", self.state);
        answers
    }
}

/// The answer to what never became a request. Whether it was HEAD is not known here; it is the last one, so
/// either all of the body is there or none of it.
fn take_refusal(sent: &mut &[u8]) -> Option<Answer> {
    let without_body = sent.ends_with(b"\r\n\r\n");
    let answer = take_answer(sent, without_body)?;
    assert!(answer.status >= 400 && answer.closes && sent.is_empty(), "{answer:?}");
    Some(answer)
}

/// Answers, and remembers what it was asked.
#[derive(Debug, Default)]
struct Recorder {
    requests: RefCell<Vec<Asked>>,
    /// How many there were when the server was told to shut down.
    at_drain: Cell<Option<usize>>,
}

impl Recorder {
    fn note_drain(&self) {
        let asked = self.requests.borrow().len();
        self.at_drain.set(self.at_drain.get().or(Some(asked)));
    }

    /// No request was seen where another reader sees none: not in a body, not behind a doubt.
    fn check_boundaries(&self, payload: &[u8]) {
        let lines = request_lines(payload);
        for (at, asked) in self.requests.borrow().iter().enumerate() {
            let line = String::from_utf8_lossy(&asked.line);
            assert_eq!(lines.get(at).copied(), Some(&asked.line[..]), "no request begins with {line:?}");
        }
    }
}

/// A request, and what its answer must be if nothing is wrong with its body.
#[derive(Debug)]
struct Asked {
    line: Vec<u8>,
    to_head: bool,
    status: Status,
    closes: bool,
    /// What the body is made of, piece by piece.
    body: Vec<(u8, usize)>,
}

impl Asked {
    /// What the first byte of a path asks for; the others choose the size.
    fn of(request: &Request<'_>) -> Self {
        let path = request.path().unwrap_or_default();
        let number = path.iter().fold(0usize, |sum, byte| (sum * 3 + usize::from(*byte)) % 997);
        let filler = b'a' + u8::try_from(number % 26).unwrap_or(0);
        let (status, body) = match path.get(1) {
            _ if !matches!(request.method, Method::Get | Method::Head) => (Status::METHOD_NOT_ALLOWED, None),
            // A body that must not be sent.
            Some(b'n') => (Status::NO_CONTENT, Some(vec![(filler, 9)])),
            Some(b'm') => (Status::NOT_MODIFIED, Some(vec![(filler, 9)])),
            Some(b'e') => (Status::NOT_FOUND, None),
            // More than one send, and more than the high-water mark.
            Some(b'l') => (Status::OK, Some(vec![(filler, 66_000 + number)])),
            Some(b'f') => (Status::OK, Some(vec![(0, 10 * number)])),
            Some(b'p') => (
                Status::PARTIAL_CONTENT,
                Some(vec![(filler, 9), (0, number), (filler, 9), (0, 7), (filler, 5)]),
            ),
            _ => (Status::OK, Some(vec![(filler, number)])),
        };
        let to_head = request.method == Method::Head;
        let body = body.unwrap_or_default();
        Self { line: request.line.to_vec(), to_head, status, closes: path.get(1) == Some(&b'c'), body }
    }

    fn response(&self) -> Response {
        let is_error = self.status.is_error();
        let mut response = if is_error { Response::error(self.status) } else { Response::new(self.status) };
        response.close = self.closes;
        if is_error {
            return response;
        }
        response.body = match self.body[..] {
            [] => Body::empty(),
            [(0, length)] => Body::File(zeros(length)),
            [(filler, length)] => Body::Bytes(vec![filler; length]),
            [ref parts @ .., (filler, length)] => {
                let part = |pair: &[(u8, usize)]| Part {
                    head: vec![pair[0].0; pair[0].1],
                    content: zeros(pair[1].1),
                };
                Body::Parts { parts: parts.chunks(2).map(part).collect(), end: vec![filler; length] }
            }
        };
        assert!(response.body.len() + 1000 < LARGEST_ANSWER);
        response
    }

    /// Takes the answer to this request, or the refusal that a malformed body has put in its place.
    fn take(&self, sent: &mut &[u8]) -> Option<Answer> {
        let answer = take_answer(sent, self.to_head)?;
        if answer.status != self.status.code() {
            assert!(
                matches!(answer.status, 400 | 408 | 413) && answer.closes,
                "{} for {self:?}",
                answer.status
            );
        } else if !self.status.is_error() && !self.status.is_bodiless() && !self.to_head {
            let want = self.body.iter().flat_map(|(filler, length)| std::iter::repeat_n(*filler, *length));
            assert!(answer.body.iter().copied().eq(want), "another body than {:?}", self.body);
        }
        assert!(!self.closes || answer.closes, "stays open: {self:?}");
        Some(answer)
    }
}

impl Service for Recorder {
    fn handle(&self, request: &Request<'_>, _: Now) -> Reply {
        let asked = Asked::of(request);
        let response = asked.response();
        self.requests.borrow_mut().push(asked);
        Reply::Ready(response)
    }
}

impl WorkerService for Recorder {}

/// A stretch of a file that is as long as one likes.
fn zeros(length: usize) -> FileSlice {
    static ZEROS: OnceLock<FileSlice> = OnceLock::new();
    let file = ZEROS.get_or_init(|| FileSlice::new(File::open("/dev/zero").expect("/dev/zero").into(), 0, 0));
    file.slice(0, length as u64)
}
