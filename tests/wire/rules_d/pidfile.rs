//! The pid file of the master.

use std::fs;
use std::time::Instant;

use rustix::process::Signal;

use super::SECOND;
use crate::support::rules::holds;
use crate::support::server::{eventually, is_alive, run};
use crate::support::{Folder, Server};

#[test]
fn d20_a_pid_file_names_a_server_that_runs() {
    let folder = Folder::new();
    let path = folder.beside("pid");
    let (name, root) = (path.to_str().expect("UTF-8"), folder.root());
    let read = || fs::read_to_string(&path).expect("a pid file");
    let mut first = Server::start(&root, &["--pidfile", name]);
    assert_eq!(read(), format!("{}\n", first.master()), "the file exists before the start-up lines");
    let started = Instant::now();
    let (code, _, error) = run(&["-r", root.to_str().expect("UTF-8"), "--port", "0", "--pidfile", name]);
    let refused = started.elapsed();
    assert!(code == 1 && error.contains(&format!("process {} runs already", first.master())), "{error}");
    assert!(refused < SECOND, "{refused:?}");
    assert_eq!(read(), format!("{}\n", first.master()), "the second start has not touched it");
    let workers = first.workers.clone();
    first.signal(Signal::KILL);
    first.wait();
    eventually("its workers are gone", || !workers.iter().any(|pid| is_alive(*pid)));
    assert!(path.exists(), "a killed server leaves it behind");
    let mut second = Server::start(&root, &["--pidfile", name]);
    assert_eq!(read(), format!("{}\n", second.master()));
    second.stop();
    assert!(!path.exists());
    // Another program has replaced the file.
    let mut third = Server::start(&root, &["--pidfile", name]);
    fs::remove_file(&path).expect("the file");
    fs::write(&path, "another's\n").expect("a file");
    third.stop();
    assert_eq!(read(), "another's\n", "the server removes its own file only");
    let left = fs::read_dir(path.parent().expect("a folder")).expect("a list").count();
    assert_eq!(left, 3, "the root, the secret, and that file: nothing is left beside it");
    holds(
        "D20",
        format!(
            "a second start is refused after {refused:.1?}; a stale file is replaced; another program's file stays"
        ),
        "≤ 100 ms",
    );
}
