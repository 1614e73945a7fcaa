//! E22, E23: equal shares for the workers, and no connection that waits for a worker that hangs.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::SECOND;
use crate::support::hostile::Hostile;
use crate::support::process::{descriptors, sleeps};
use crate::support::rules::{has_room_for_a_crowd, holds};
use crate::support::server::{eventually, halt, is_running, send};
use crate::support::{Client, Folder, Front, Server};

const WORKERS: usize = 4;

/// Four workers, and the number of descriptors of one without connections.
fn start(options: &[&str]) -> (Folder, Server, usize) {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &[&["-w", "4", "--file-cache", "0"], options].concat());
    let at_rest = || server.children().iter().map(|pid| descriptors(*pid)).min().expect("workers");
    let rest = at_rest();
    (folder, server, rest)
}

/// The connections of each worker, when all together have `count`.
fn shares(server: &Server, rest: usize, count: usize) -> Vec<usize> {
    let shares = || server.children().iter().map(|pid| descriptors(*pid) - rest).collect::<Vec<_>>();
    eventually("all are accepted", || shares().iter().sum::<usize>() == count);
    shares()
}

/// The largest share over the mean.
fn excess(shares: &[usize]) -> f64 {
    let most = *shares.iter().max().expect("four");
    most as f64 * shares.len() as f64 / shares.iter().sum::<usize>() as f64
}

/// The shares of `count` connections in one burst: the best of three tries, because a busy machine may delay a worker for
/// longer than the others leave connections to it.
fn burst(count: usize, options: &[&str]) -> Vec<usize> {
    let tries = (0..3).map(|_| {
        let (_folder, server, rest) = start(options);
        let clients = Hostile::silent(server.address(), count);
        clients.wait_until_open();
        let shares = shares(&server, rest, count);
        clients.call_off();
        shares
    });
    tries.min_by(|one, other| excess(one).total_cmp(&excess(other))).expect("three tries")
}

#[test]
fn e22_a_burst_is_shared_out() {
    if Front::lacks("e22_a_burst_is_shared_out") {
        return;
    }
    let few = burst(8, &[]);
    assert!(few.iter().all(|share| *share <= 3), "{few:?}");
    let many = burst(64, &[]);
    assert!(excess(&many) <= 1.25, "{many:?}");
    let mut seen = format!("{few:?} of 8, {many:?} of 64");
    if has_room_for_a_crowd("E22") {
        let crowd = burst(1000, &[]);
        assert!(excess(&crowd) <= 1.25, "{crowd:?}");
        seen += &format!(", {crowd:?} of 1,000");
    }
    holds("E22", format!("a burst of silent connections: {seen}"), "largest share ≤ 1.25 × mean");
}

/// Connections one after the other, after a worker was killed, and after a reload.
#[test]
fn shares_stay_equal() {
    if Front::lacks("shares_stay_equal") {
        return;
    }
    let (_folder, server, rest) = start(&["--grace", "1"]);
    let mut clients: Vec<Client> = (0..40)
        .map(|_| {
            let mut client = server.connect();
            assert_eq!(client.get("/ok", "").status, 200);
            client
        })
        .collect();
    let one_by_one = shares(&server, rest, 40);
    assert!(excess(&one_by_one) <= 1.25, "one after the other: {one_by_one:?}");
    let victim = server.children()[0];
    send(victim, Signal::KILL);
    eventually("it is replaced", || {
        let children = server.children();
        children.len() == WORKERS && !children.contains(&victim)
    });
    clients.extend((0..40).map(|_| server.connect()));
    let after_a_death = shares(&server, rest, 70);
    assert!(excess(&after_a_death) <= 1.25, "{after_a_death:?}");
    let old = server.children();
    server.signal(Signal::HUP);
    eventually("there are new workers", || old.iter().all(|pid| !is_running(*pid)));
    drop(clients);
    let clients: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    let after_a_reload = shares(&server, rest, 40);
    assert!(excess(&after_a_reload) <= 1.25, "{after_a_reload:?}");
    drop(clients);
}

/// A worker with more connections than the others leaves the next one to them; while none comes, it sleeps.
#[test]
fn a_worker_that_is_ahead_sleeps() {
    if Front::lacks("a_worker_that_is_ahead_sleeps") {
        return;
    }
    let (_folder, server, rest) = start(&[]);
    let clients: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    shares(&server, rest, 40);
    let (ahead, others) =
        server.children().split_first().map(|(one, others)| (*one, others.to_vec())).expect("four");
    others.iter().for_each(|pid| send(*pid, Signal::KILL));
    eventually("they are replaced", || {
        let children = server.children();
        children.len() == WORKERS && others.iter().all(|pid| !children.contains(pid))
    });
    // The new ones are ready, and each worker has looked at the listener once more.
    assert_eq!(server.connect().get("/ok", "").status, 200);
    let looks_twice = 2 * SECOND + SECOND / 2;
    std::thread::sleep(looks_twice);
    let before = sleeps(ahead);
    std::thread::sleep(looks_twice);
    let slept = sleeps(ahead) - before;
    assert!(slept < 50, "it wakes {slept} times in {looks_twice:?}, and nobody comes");
    drop(clients);
}

/// The longest time of `count` connections with one request each.
fn longest(server: &Server, count: usize) -> Duration {
    let ask = |_| {
        let begun = Instant::now();
        assert_eq!(server.connect().get("/ok", "Connection: close\r\n").status, 200);
        begun.elapsed()
    };
    (0..count).map(ask).max().expect("requests")
}

#[test]
fn e23_workers_that_hang_delay_no_connection() {
    if Front::lacks("e23_workers_that_hang_delay_no_connection") {
        return;
    }
    let mut delays = Vec::new();
    for (mode, worker) in
        ["exclusive", "shared"].into_iter().flat_map(|mode| [0, 1, 3].map(|one| (mode, one)))
    {
        let (_folder, server, _) = start(&["--accept", mode]);
        let all = server.children();
        // The one that is left has more connections than the others.
        let clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
        let others: Vec<i32> = all.iter().copied().filter(|pid| *pid != all[worker]).collect();
        others.iter().for_each(|pid| halt(*pid));
        delays.push(longest(&server, 30));
        // One of them is killed instead: another worker takes its place.
        send(others[0], Signal::KILL);
        delays.push(longest(&server, 30));
        others[1..].iter().for_each(|pid| send(*pid, Signal::CONT));
        drop(clients);
    }
    let slowest = delays.into_iter().max().expect("delays");
    assert!(slowest < SECOND, "{slowest:?}");
    holds(
        "E23",
        format!("three of four workers are stopped: the slowest of 360 answers after {slowest:.1?}"),
        "≤ 5 ms",
    );
}
