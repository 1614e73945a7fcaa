//! The live page as it is without JavaScript: a document with the numbers of the moment.

use std::fmt::{Display, Write as _};

use super::findings::Concern;
use super::snapshot::Snapshot;
use crate::http1::{Body, Response, Status};

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("status.js");
const STYLE: &str = include_str!("status.css");

/// What the page may load: its own script, style and events, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A response that no cache keeps.
pub(super) fn response(content_type: &str, body: impl Into<Vec<u8>>) -> Response {
    let mut response = Response::new(Status::OK);
    response.field("Content-Type", content_type);
    response.field("Cache-Control", "no-store");
    response.field("X-Content-Type-Options", "nosniff");
    response.body = Body::Bytes(body.into());
    response
}

/// The script of the page.
pub(super) fn script() -> Response {
    response("text/javascript; charset=utf-8", SCRIPT)
}

/// The style of the page.
pub(super) fn style() -> Response {
    response("text/css; charset=utf-8", STYLE)
}

/// The page itself.
pub(super) fn page(snapshot: &Snapshot, findings: &[Concern]) -> Response {
    let mut response = response("text/html; charset=utf-8", document(snapshot, findings));
    response.field("Content-Security-Policy", POLICY);
    response.field("Referrer-Policy", "no-referrer");
    response
}

fn document(snapshot: &Snapshot, findings: &[Concern]) -> String {
    let mut text = String::with_capacity(PAGE.len() + 4 * 1024);
    // Every second piece is a name between two percent signs.
    for (index, piece) in PAGE.split('%').enumerate() {
        match index % 2 {
            0 => text.push_str(piece),
            _ => text.push_str(&value(piece, snapshot, findings)),
        }
    }
    text
}

/// The text for a name in the document.
fn value(name: &str, snapshot: &Snapshot, findings: &[Concern]) -> String {
    let sum = snapshot.activities();
    match name {
        "version" => env!("CARGO_PKG_VERSION").into(),
        "state" if snapshot.is_draining => "draining".into(),
        "state" => "serving".into(),
        "uptime" => format!("{} s", snapshot.uptime.as_secs()),
        "findings" => list(findings),
        "requests" => snapshot.responses().iter().sum::<u64>().to_string(),
        "bytes" => snapshot.sum(|slot| slot.bytes()).to_string(),
        "open" => sum.open().to_string(),
        "restarts" => snapshot.restarts.to_string(),
        "lost" => snapshot.sum(|slot| slot.lost()).to_string(),
        "workers" => workers(snapshot),
        "states" => rows(sum.by_state()),
        "queues" => {
            let row = |queue: &super::snapshot::Queue| {
                row(&[&escaped(&queue.name), &queue.length.to_string(), &queue.limit.to_string()])
            };
            snapshot.queues.iter().map(row).collect()
        }
        "responses" => {
            let names = (1..).map(|class| format!("{class}xx"));
            rows(names.zip(snapshot.responses()))
        }
        _ => String::new(),
    }
}

fn list(findings: &[Concern]) -> String {
    if findings.is_empty() {
        return "<li>None.</li>".into();
    }
    let item = |found: &Concern| {
        let (text, cure) = (escaped(&found.text), escaped(&found.cure));
        format!("<li class=\"found\">{text}<span>{cure}</span></li>")
    };
    findings.iter().map(item).collect()
}

fn workers(snapshot: &Snapshot) -> String {
    let line = |(view, health): (&super::snapshot::WorkerView, super::snapshot::Health)| {
        let requests: u64 = view.slot.responses().iter().sum();
        let turns: u64 = view.slot.turns().iter().sum();
        let numbers = [view.open(), view.slot.accepts(), requests, turns].map(|number| number.to_string());
        let [open, accepts, requests, turns] = &numbers;
        let (index, pid) = (view.index.to_string(), view.slot.pid().to_string());
        row(&[&index, &pid, health.name(), open, accepts, requests, turns])
    };
    snapshot.workers().map(line).collect()
}

fn rows<N: Display>(lines: impl IntoIterator<Item = (N, u64)>) -> String {
    lines.into_iter().map(|(name, number)| row(&[&name.to_string(), &number.to_string()])).collect()
}

fn row(cells: &[&str]) -> String {
    let mut text = String::from("<tr>");
    for cell in cells {
        write!(text, "<td>{cell}</td>").expect("writing into a String cannot fail");
    }
    text + "</tr>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names are between percent signs, and there are no other ones.
    #[test]
    fn the_document_has_known_names_only() {
        let names: Vec<&str> = PAGE.split('%').skip(1).step_by(2).collect();
        assert!(PAGE.split('%').count() % 2 == 1 && names.len() > 10);
        let known = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase());
        assert!(names.iter().all(|name| known(name)), "{names:?}");
        assert_eq!(row(&["a", &escaped("<&\">")]), "<tr><td>a</td><td>&lt;&amp;&quot;&gt;</td></tr>\n");
    }

    /// The policy allows no inline script and no inline style.
    #[test]
    fn the_document_keeps_its_policy() {
        assert!(!POLICY.contains("unsafe"));
        for inline in ["<style", "style=", "onclick", "onload", "javascript:", "http:", "https:", "//"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
        assert_eq!(
            PAGE.matches("<script").count(),
            PAGE.matches("<script src=\"status.js\" defer></script>").count()
        );
    }
}
