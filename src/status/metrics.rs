//! The numbers as Prometheus reads them: the text format, version 0.0.4.

use std::fmt::{Display, Write as _};

use super::board::{BOUNDS, CLASSES};
use super::snapshot::{Health, Snapshot};

/// The media type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text so far.
struct Text(String);

impl Text {
    /// Begins a metric.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP stheno_{name} {help}\n# TYPE stheno_{name} {kind}\n"));
    }

    /// A value of the metric; `labels` are in braces, or empty.
    fn value(&mut self, name: &str, labels: impl Display, value: impl Display) {
        self.push(format_args!("stheno_{name}{labels} {value}\n"));
    }

    /// A metric with one value.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.value(name, "", value);
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing into a String cannot fail");
    }
}

/// The text of a snapshot.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut text = Text(String::with_capacity(8 * 1024));
    server(&mut text, snapshot);
    requests(&mut text, snapshot);
    connections(&mut text, snapshot);
    turns(&mut text, snapshot);
    queues(&mut text, snapshot);
    text.0
}

fn server(text: &mut Text, snapshot: &Snapshot) {
    text.metric("build_info", "gauge", "The version of the server.");
    text.value("build_info", label("version", env!("CARGO_PKG_VERSION")), 1);
    text.single(
        "start_time_seconds",
        "gauge",
        "When the server started, in seconds since 1970.",
        snapshot.started,
    );
    let uptime = snapshot.uptime.as_secs_f64();
    text.single("uptime_seconds", "gauge", "The time since the server started.", format_args!("{uptime:.3}"));
    text.single(
        "draining",
        "gauge",
        "1 while the server finishes its responses and exits.",
        u8::from(snapshot.is_draining),
    );
    text.metric("workers", "gauge", "Worker processes by state.");
    for state in Health::ALL {
        let count = snapshot.workers().filter(|(_, health)| *health == state).count();
        text.value("workers", label("state", state.name()), count);
    }
    text.single(
        "worker_restarts_total",
        "counter",
        "Workers that have died and were replaced.",
        snapshot.restarts,
    );
    let lost = snapshot.sum(|slot| slot.lost());
    text.single(
        "log_lines_lost_total",
        "counter",
        "Lines of the access log that could not be written.",
        lost,
    );
}

fn requests(text: &mut Text, snapshot: &Snapshot) {
    text.metric("requests_total", "counter", "Requests by the class of the status of their response.");
    for (class, count) in (1..=CLASSES).zip(snapshot.responses()) {
        text.value("requests_total", label("code", &format!("{class}xx")), count);
    }
    let bytes = snapshot.sum(|slot| slot.bytes());
    text.single("response_bytes_total", "counter", "Bytes of response bodies that were sent.", bytes);
}

fn connections(text: &mut Text, snapshot: &Snapshot) {
    text.metric("connections", "gauge", "Open connections by state.");
    for (state, count) in snapshot.activities().by_state() {
        text.value("connections", label("state", state), count);
    }
    text.metric("worker_connections", "gauge", "Open connections of each worker.");
    for (view, _) in snapshot.workers() {
        text.value("worker_connections", worker(view.index), view.open());
    }
    text.metric("accepts_total", "counter", "Connections that each worker has accepted.");
    for view in &snapshot.slots {
        text.value("accepts_total", worker(view.index), view.slot.accepts());
    }
}

/// A cumulative histogram over all workers.
fn turns(text: &mut Text, snapshot: &Snapshot) {
    let mut classes = [0_u64; BOUNDS.len() + 1];
    for view in &snapshot.slots {
        classes.iter_mut().zip(view.slot.turns()).for_each(|(sum, count)| *sum += count);
    }
    text.metric("turn_seconds", "histogram", "The time of the turns of the loop, without their waits.");
    let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain(["+Inf".into()]);
    let mut count = 0;
    for (bound, class) in bounds.zip(classes) {
        count += class;
        text.value("turn_seconds_bucket", label("le", &bound), count);
    }
    text.value("turn_seconds_sum", "", seconds(snapshot.sum(|slot| slot.turn_nanos())));
    text.value("turn_seconds_count", "", count);
}

fn queues(text: &mut Text, snapshot: &Snapshot) {
    text.metric("accept_queue_length", "gauge", "Connections that wait to be accepted.");
    for queue in &snapshot.queues {
        text.value("accept_queue_length", label("listener", &queue.name), queue.length);
    }
    text.metric("accept_queue_limit", "gauge", "The most connections that may wait: the backlog.");
    for queue in &snapshot.queues {
        text.value("accept_queue_limit", label("listener", &queue.name), queue.limit);
    }
}

/// A number of nanoseconds in seconds, without zeros at its end.
fn seconds(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

fn worker(index: usize) -> String {
    label("worker", &index.to_string())
}

/// `{name="value"}`, with the escapes of the format.
fn label(name: &str, value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{name}=\"{escaped}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_labels() {
        for (nanos, want) in [(0, "0"), (100_000, "0.0001"), (2_500_000_000, "2.5"), (10_000_000_000, "10")] {
            assert_eq!(seconds(nanos), want);
        }
        assert_eq!(label("a", "b\"\\\n"), "{a=\"b\\\"\\\\\\n\"}");
    }
}
