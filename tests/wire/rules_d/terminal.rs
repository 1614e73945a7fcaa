//! SIGHUP from a terminal that hangs up.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::support::Folder;
use crate::support::process::is_installed;
use crate::support::rules::{holds, not_run};
use crate::support::server::{children, command, eventually, is_alive, send};

/// A server in the foreground of a terminal made by script(1).
struct InTerminal {
    folder: Folder,
    script: Child,
    server: i32,
    ended: bool,
}

impl InTerminal {
    /// Starts it. `env` is a command that sets the disposition of SIGHUP, which the tests may have inherited
    /// from nohup(1).
    fn start(env: &str) -> Self {
        let folder = Folder::new();
        let line = format!(
            "exec {env} {} -r {} --port 0 --access-log off --pidfile {}",
            command().get_program().to_str().expect("UTF-8"),
            folder.root().to_str().expect("UTF-8"),
            folder.beside("pid").to_str().expect("UTF-8"),
        );
        let mut script = Command::new("script");
        script.args(["-qfc", &line, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::null());
        let script = script.spawn().expect("a terminal");
        let mut it = Self { folder, script, server: 0, ended: false };
        eventually("it serves", || it.pid().is_some());
        it.server = it.pid().expect("a pid");
        it
    }

    /// Its process id from its pid file, while the file exists.
    fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.folder.beside("pid")).ok()?.trim().parse().ok()
    }

    fn reload(&self) {
        let before = children(self.server);
        send(self.server, Signal::HUP);
        eventually("there are new workers alone", || {
            let now = children(self.server);
            !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
        });
    }

    fn hang_up(&mut self) {
        self.script.kill().expect("a terminal that is there");
        self.script.wait().expect("an end");
    }

    fn has_ended(&mut self) {
        eventually("the server has ended", || !is_alive(self.server));
        self.ended = true;
        assert_eq!(self.pid(), None);
    }
}

impl Drop for InTerminal {
    /// The server is a grandchild, so it is killed explicitly; its workers end with it.
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
        if self.server != 0 && !self.ended && is_alive(self.server) {
            send(self.server, Signal::KILL);
        }
    }
}

/// When its terminal hangs up, a server in the foreground ends.
#[test]
fn d6_a_terminal_that_hangs_up_ends_its_server() {
    if !is_installed("script") {
        return not_run("D6", "without script(1) there is no terminal");
    }
    let mut terminal = InTerminal::start("env --default-signal=HUP");
    // While the terminal exists, HUP is a reload.
    terminal.reload();
    terminal.hang_up();
    terminal.has_ended();
    holds("D6", "HUP of a terminal that hangs up: the server in its foreground drains and ends", "exact");
}

/// Under nohup(1) it goes on, and HUP is a reload.
#[test]
fn d6_a_server_under_nohup_outlives_its_terminal() {
    if !is_installed("script") {
        return not_run("D6", "without script(1) there is no terminal");
    }
    let mut terminal = InTerminal::start("env --ignore-signal=HUP");
    terminal.hang_up();
    terminal.reload();
    send(terminal.server, Signal::TERM);
    terminal.has_ended();
    holds("D6", "HUP of a terminal that hangs up, under nohup: the server goes on, and reloads", "exact");
}
