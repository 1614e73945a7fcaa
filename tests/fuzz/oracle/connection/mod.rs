//! The oracle of a whole connection, driven over memory by the script that the input encodes.
//!
//! It uses public items only. The libFuzzer target (`src/connection.rs`) and `cargo test --test fuzz` share it.

mod bench;
mod request_lines;
mod responses;
mod script;
mod service;

use std::time::{Duration, UNIX_EPOCH};

use stheno::clock::Now;
use stheno::http1::Settings;

use bench::Bench;
use request_lines::request_lines;
use responses::{SentResponse, take_response};
use script::{Script, Step, only_cuts};
use service::Recorder;

/// Checks a connection under any script: valid responses in order, requests where another reader finds them, bounded
/// memory, a deadline in every state, and the same responses at any cut.
///
/// The first byte chooses the limits; the second is the number of steps, of two bytes each; the peer sends the rest.
pub(crate) fn connection(data: &[u8]) {
    let script = Script::decode(data);
    let settings = script.settings();
    let responses = run(&script.steps, script.payload, &settings);
    if only_cuts(&script.steps) {
        let whole = run(&[], script.payload, &settings);
        assert_eq!(outline(&responses), outline(&whole), "a cut changes the responses");
    }
}

/// The part of the responses that fits on a screen when a comparison fails.
fn outline(responses: &[SentResponse]) -> Vec<(u16, bool, usize)> {
    responses.iter().map(|response| (response.status, response.closes, response.body.len())).collect()
}

fn run(steps: &[Step], payload: &[u8], settings: &Settings) -> Vec<SentResponse> {
    let service = Recorder::default();
    let now = Now { wall: UNIX_EPOCH + Duration::from_secs(784_111_777), ..Now::ask() };
    let mut bench = Bench::new(settings, &service, now);
    let mut rest = payload;
    for step in steps {
        take_step(&mut bench, *step, &mut rest);
    }
    bench.0.memory.room = usize::MAX;
    if !bench.0.memory.is_ended {
        bench.0.memory.inbox.extend_from_slice(rest);
    }
    bench.settle();
    let responses = check_responses(&bench, only_cuts(steps));
    let is_over = !bench.0.memory.is_ended || bench.connection().is_closed();
    assert!(is_over, "waits in {} for a peer that has ended", bench.connection().state());
    if only_cuts(steps) && !responses.last().is_some_and(|response| response.closes) {
        let seen = service.requests.borrow().len();
        assert_eq!(seen, request_lines(payload).len(), "a request was passed over");
    }
    // An idle connection is refused, lingers, and is closed: no state waits twice.
    for _ in 0..4 {
        take_step(&mut bench, Step::WaitForDeadline, &mut &b""[..]);
    }
    assert!(bench.connection().is_closed(), "{} for ever", bench.connection().state());
    bench.0.close();
    check_boundaries(&service, payload);
    let responses = check_responses(&bench, false);
    if !bench.connection().wants_reset() {
        let logged: Vec<_> = bench.0.records.iter().map(|this| (this.status.code(), this.sent)).collect();
        let want = responses.iter().map(|response| (response.status, response.body.len() as u64));
        assert_eq!(logged, want.collect::<Vec<_>>(), "the log differs from the responses");
    }
    responses
}

fn take_step(bench: &mut Bench<'_>, step: Step, rest: &mut &[u8]) {
    let mut next = |most: usize| {
        let (now, later) = rest.split_at(most.min(rest.len()));
        *rest = later;
        now
    };
    match step {
        // A peer that has closed its half sends nothing.
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
        Step::Wait(duration) => bench.wait(duration),
        Step::WaitForDeadline => {
            let deadline = bench.connection().deadline(&bench.0.settings.timeouts);
            let wait = deadline.map(|deadline| deadline.saturating_duration_since(bench.0.now.monotonic));
            bench.wait(wait.unwrap_or_default());
        }
        Step::Wake => bench.wait(Duration::ZERO),
        Step::HalfClose => bench.0.memory.is_ended = true,
        Step::Drain => bench.drain(),
    }
    bench.settle();
}

/// Compares what was sent with the requests. `undisturbed`: only requests can have ended the connection.
fn check_responses(bench: &Bench<'_>, undisturbed: bool) -> Vec<SentResponse> {
    let (service, mut sent) = (bench.0.service, &bench.0.memory.sent[..]);
    // The peer did not read, and the rest was thrown away.
    let cut_short = bench.connection().wants_reset();
    let requests = service.requests.borrow();
    let most = service.at_drain.get().map_or(usize::MAX, |seen| seen + 1);
    assert!(requests.len() <= most, "more than one request after the shutdown");
    let mut responses: Vec<SentResponse> = Vec::new();
    while !sent.is_empty() {
        assert!(!responses.last().is_some_and(|last| last.closes), "a response after the last one");
        let response = match requests.get(responses.len()) {
            Some(request) => request.take_response(&mut sent),
            None => take_refusal(&mut sent),
        };
        let Some(response) = response else {
            assert!(cut_short, "cut short: {:?}", String::from_utf8_lossy(sent));
            break;
        };
        responses.push(response);
    }
    assert!(responses.len() <= requests.len() + 1, "more responses than requests");
    let closed = responses.last().is_some_and(|response| response.closes);
    if !cut_short {
        // One request may wait for its body; none is handled after a response that closes.
        let most = responses.len() + usize::from(!closed);
        assert!(requests.len() <= most, "{} of {}", responses.len(), requests.len());
    }
    let state = bench.connection().state();
    let is_over = matches!(state, "Lingering" | "Closed");
    assert!(!closed || is_over, "said close, and is {state}");
    assert!(closed || !is_over || !undisturbed, "{state} without a response that closes");
    responses
}

/// Takes the response to input that did not become a request. Whether that began with HEAD is not known here; the
/// response is the last one, so either all of its body is there or none of it.
fn take_refusal(sent: &mut &[u8]) -> Option<SentResponse> {
    let without_body = sent.ends_with(b"\r\n\r\n");
    let response = take_response(sent, without_body)?;
    assert!(response.status >= 400 && response.closes && sent.is_empty(), "{response:?}");
    Some(response)
}

/// The server saw no request where another reader sees none: in a body, or after malformed input.
fn check_boundaries(service: &Recorder, payload: &[u8]) {
    let lines = request_lines(payload);
    for (at, request) in service.requests.borrow().iter().enumerate() {
        let line = String::from_utf8_lossy(&request.line);
        assert_eq!(lines.get(at).copied(), Some(&request.line[..]), "no request begins with {line:?}");
    }
}
