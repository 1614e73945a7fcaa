//! The lines of a start: what is served, where, by which workers, and how to stop it.

use std::io::{self, IsTerminal};

use super::qr;
use super::setup::Setup;
use super::urls::{self, ServerUrl};
use crate::server::{Address, LogTarget};
use crate::sys::process::{self, Pid};
use crate::tls::Credentials;

/// The start-up lines that differ between programs.
pub(crate) struct StartLines {
    /// The first word.
    pub(crate) program: &'static str,
    /// The line after it: what is served.
    pub(crate) subject: String,
    /// The path below which it is served.
    pub(crate) prefix: String,
    /// The line after the workers: how it is served.
    pub(crate) detail: String,
}

impl StartLines {
    /// Prints the lines. Returns the URL for a browser on this machine.
    pub(super) fn print(&self, setup: &Setup, workers: &[Pid]) -> Option<String> {
        let Self { program, subject, prefix, detail } = self;
        let is_terminal = io::stderr().is_terminal();
        let (bold, plain) = if is_terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let pids: Vec<String> = workers.iter().map(ToString::to_string).collect();
        let public = setup.listeners.addresses.len() - setup.listeners.redirects;
        let (public, redirects) = setup.listeners.addresses.split_at(public);
        let scheme = if setup.tls.is_some() { "https" } else { "http" };
        let urls = urls::urls(public, scheme, prefix);
        let mut text = format!("{bold}{program} {}{plain}\n  {subject}\n", env!("CARGO_PKG_VERSION"));
        for ServerUrl { text: url, note, .. } in &urls {
            let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
            text += &format!("  url      {bold}{url}{plain}{note}\n");
        }
        for ServerUrl { text: url, .. } in urls::urls(redirects, "http", "") {
            text += &format!("  redirect {url}\n");
        }
        if let Some(fingerprint) = setup.tls.as_ref().and_then(Credentials::fingerprint) {
            text += &format!("  sha-256  {fingerprint} (of the certificate: compare it in the browser)\n");
        }
        if let Some((listeners, _)) = &setup.status {
            for ServerUrl { text: url, .. } in urls::urls(&listeners.addresses, "http", "") {
                text += &format!("  status   {url}\n");
            }
        }
        text += &format!("  workers  {} (pid {})\n  {detail}\n", workers.len(), pids.join(", "));
        text +=
            &format!("  stop     Ctrl+C, or kill -TERM {} to finish responses first\n", process::current());
        if setup.config.qr {
            let is_local = setup.listeners.addresses.iter().all(Address::is_local);
            text += &qr_lines(&urls, is_terminal, is_local);
        }
        // A start must not wait for a pipe or a terminal. Without standard error nothing is shown.
        let _ = LogTarget::standard_error().map(|stderr| stderr.print(&text));
        urls::to_open(&urls).map(|url| url.text.clone())
    }
}

/// The lines of `--qr`: a code, or why there is none. The server is for this machine alone if `is_local`.
fn qr_lines(urls: &[ServerUrl], is_terminal: bool, is_local: bool) -> String {
    let Some(ServerUrl { text, is_shared, .. }) = urls::to_share(urls) else {
        return "  qr       no code: a Unix socket has no URL for a phone\n".into();
    };
    if !is_terminal {
        return "  qr       no code: standard error is not a terminal\n".into();
    }
    let Some(code) = qr::code(text) else {
        return "  qr       no code: the URL is too long for one\n".into();
    };
    let hint = match (is_shared, is_local) {
        (true, _) => "",
        (false, true) => " (this machine alone; give --host 0.0.0.0)",
        (false, false) => " (this machine alone: it has no network)",
    };
    format!("  qr       {text}{hint}\n{code}")
}
