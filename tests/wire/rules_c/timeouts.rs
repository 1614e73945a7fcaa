//! C1 to C5, C22, C23: time-outs.

use std::time::{Duration, Instant};

use super::{PAUSE, SECOND, SLOWLY, serve};
use crate::support::hostile::{Ended, Hostile, How, Probe};
use crate::support::process::{is_installed, send_memory};
use crate::support::rules::{holds, not_run};
use crate::support::server::eventually;
use crate::support::{Folder, Server};
use rustix::process::Signal;

fn longest(ended: &[Ended]) -> Duration {
    ended.iter().map(|ended| ended.after).max().expect("at least one")
}

/// Checks that the server closed all connections: none before `least`, and all within 8 s after it.
fn assert_closed_in_time(ended: &[Ended], least: Duration) {
    for ended in ended {
        assert!([How::Fin, How::Reset].contains(&ended.how), "{ended:?}");
        assert!(ended.after >= least && ended.after < least + 8 * SECOND, "{ended:?}");
    }
}

#[test]
fn c1_a_head_has_one_time_for_all_of_it() {
    let (_folder, server) = serve(&["--header-timeout", "1"]);
    let probe = Probe::start(server.address(), "/ok", PAUSE);
    let ended = Hostile::slow_heads(server.address(), 300, SLOWLY).wait_until_over();
    let probe = probe.stop();
    assert_closed_in_time(&ended, SECOND * 9 / 10);
    assert!(probe.p50() < SECOND, "{probe}");
    let last = longest(&ended);
    holds(
        "C1",
        format!("300 slow heads, limit 1 s: all gone after {last:.2?}; probe {probe}"),
        "limit + 1 s; ≤ 100 ms",
    );
}

#[test]
fn c2_silent_clients_are_closed_without_a_response() {
    let (_folder, server) = serve(&["--header-timeout", "1"]);
    let ended = Hostile::silent(server.address(), 300).wait_until_over();
    assert_closed_in_time(&ended, SECOND * 9 / 10);
    assert!(ended.iter().all(|ended| ended.how == How::Fin && ended.read == 0));
    holds(
        "C2",
        format!("limit 1 s: closed after {:.2?}, without a byte", longest(&ended)),
        "limit to limit + 1 s",
    );
}

#[test]
fn c3_a_body_has_a_time_between_two_bytes_and_a_rate() {
    let (_folder, server) = serve(&["--body-timeout", "0.5"]);
    let stalled = Hostile::slow_bodies(server.address(), 200, Duration::from_secs(100));
    let trickling = Hostile::slow_bodies(server.address(), 200, SLOWLY);
    let (stalled, trickling) = (stalled.wait_until_over(), trickling.wait_until_over());
    assert_closed_in_time(&stalled, SECOND * 4 / 10);
    // The minimum rate applies after twice the time-out.
    assert_closed_in_time(&trickling, SECOND * 9 / 10);
    let (stalled, trickling) = (longest(&stalled), longest(&trickling));
    holds(
        "C3",
        format!("limit 0.5 s: stalled bodies gone after {stalled:.2?}, 10 B/s after {trickling:.2?}"),
        "limit + 1 s; twice the limit + 1 s",
    );
}

#[test]
fn c4_c5_stalled_and_slow_readers_are_reset() {
    let (_folder, server) = serve(&["--write-timeout", "1"]);
    let port = server.address().port();
    let stalled = Hostile::never_reading(server.address(), 50, "/sparse");
    let sipping = Hostile::sipping(server.address(), 50, "/sparse", 1, SLOWLY);
    eventually("their sockets are full", || send_memory(port) > 50 * 64 * 1024);
    let before = send_memory(port);
    let (stalled, sipping) = (stalled.wait_until_over(), sipping.wait_until_over());
    let over = Instant::now();
    eventually("the memory is freed", || send_memory(port) == 0);
    let back = over.elapsed();
    for ended in stalled.iter().chain(&sipping) {
        assert_eq!(ended.how, How::Reset, "{ended:?}");
    }
    assert_closed_in_time(&stalled, SECOND * 9 / 10);
    assert_closed_in_time(&sipping, SECOND * 9 / 10);
    let (stalled, sipping) = (longest(&stalled), longest(&sipping));
    holds(
        "C4",
        format!("limit 1 s: stalled readers gone after {stalled:.2?}, readers of 10 B/s after {sipping:.2?}"),
        "twice the limit + 1 s (121 s for 60)",
    );
    holds(
        "C5",
        format!("all reset; {} KiB of kernel memory down to 0 in {back:.1?}", before / 1024),
        "≤ 100 ms",
    );
}

#[test]
fn c22_dead_peers_are_probed() {
    if !is_installed("ss") {
        return not_run("C22", "without ss(8) the timers of a socket are invisible");
    }
    let (default, longer) = (time_to_probe(&[]), time_to_probe(&["--keepalive-timeout", "86400"]));
    assert!(default.ends_with("sec") && !default.contains("min"), "{default}");
    // The kernel's longest time is 32,767 s, or 546 min.
    assert!(longer.starts_with("546min") || longer.starts_with("545min"), "{longer}");
    holds(
        "C22",
        format!(
            "the kernel probes an idle connection in {default}, then every 15 s; with `--keepalive-timeout 86400`, after \
             which the connection closes by itself, in {longer}"
        ),
        "gone ≤ 90 s, or when its own time is over",
    );
}

/// What ss(8) says of the time until the kernel probes an idle connection.
fn time_to_probe(options: &[&str]) -> String {
    let (_folder, server) = serve(options);
    let _client = server.connect();
    let filter = format!("sport = :{}", server.address().port());
    let mut timers = String::new();
    eventually("the connection has a timer", || {
        let output = std::process::Command::new("ss").args(["-Htno", &filter]).output().expect("ss");
        timers = String::from_utf8(output.stdout).expect("text");
        timers.contains("timer:(keepalive,")
    });
    let left = timers.split("timer:(keepalive,").nth(1).and_then(|rest| rest.split(',').next());
    left.expect("a time").to_owned()
}

/// A reader that pauses is one that has no room, and the kernel gives up on it as on one that has vanished. So the time
/// of the kernel has to be longer than that of the server, at the start and after a reload.
#[test]
fn c23_the_kernel_waits_as_long_as_the_server() {
    let folder = Folder::new();
    let (traces, config) = (folder.beside("traces"), folder.beside("config.toml"));
    let file = config.to_str().expect("UTF-8");
    let write =
        |seconds: &str| std::fs::write(&config, format!("write-timeout = {seconds}\n")).expect("a file");
    write("300");
    let Some(server) =
        Server::start_traced(&folder.root(), &["--config", file, "-w", "2"], "setsockopt", &traces)
    else {
        return not_run("C23", "strace(1) may not trace here");
    };
    // `TCP_USER_TIMEOUT` in milliseconds, each change once.
    let times = || {
        let text = std::fs::read_to_string(&traces).unwrap_or_default();
        let mut times: Vec<String> = text
            .lines()
            .filter_map(|line| line.split("TCP_USER_TIMEOUT, [").nth(1))
            .filter_map(|rest| rest.split(']').next().map(String::from))
            .collect();
        times.dedup();
        times
    };
    assert_eq!(times(), ["380000"]);
    for (seconds, want) in [("60", &["380000", "80000"][..]), ("0.5", &["380000", "80000", "30000"])] {
        write(seconds);
        server.signal(Signal::HUP);
        eventually("the reload sets it", || times() == want);
    }
    holds(
        "C23",
        "300 s, 60 s, 0.5 s: the kernel waits 380 s, 80 s, 30 s, on sockets that a reload keeps, too",
        "longer than the option, at least 30 s",
    );
}
