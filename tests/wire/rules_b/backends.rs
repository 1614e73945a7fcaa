//! B7: openat2 and its portable fallback give the same responses.

use std::fs;
use std::os::unix::fs::symlink;

use super::Asker;
use crate::support::rules::holds;
use crate::support::{Folder, Server};

#[test]
fn b7_both_backends_agree() {
    let folder = Folder::new();
    let root = folder.root();
    fs::create_dir_all(root.join("a/b/c")).expect("folders");
    folder.write("a/b/c/file", "deep");
    // A chain of links, each of which leads to the one before it.
    for n in 1..=45 {
        let target = if n == 1 { "ok".into() } else { format!("l{}", n - 1) };
        symlink(target, root.join(format!("l{n}"))).expect("a link");
    }
    let links = [
        ("a/up", "../ok"),
        ("a/b/up", "../../sub"),
        ("a/b/out", "../../../secret"),
        ("a/b/abs", "/etc/passwd"),
        ("slash", "sub/"),
        ("slash_file", "ok/"),
        ("dot", "."),
        ("dots", "a/b/../b/./c"),
        ("dotdot", ".."),
        ("none", "nowhere"),
        ("self", "self"),
    ];
    for (link, target) in links {
        symlink(target, root.join(link)).expect("a link");
    }
    let mut targets: Vec<String> = (1..=45).map(|n| format!("/l{n}")).collect();
    for first in
        ["", "a", "a/b", "a/b/c", "slash", "slash_file", "dot", "dots", "dotdot", "none", "self", "ok"]
    {
        for last in ["", "/", "/ok", "/up", "/up/", "/out", "/abs", "/file", "/index.html", "/file/"] {
            targets.push(format!("/{first}{last}"));
        }
    }
    let mut compared = 0;
    for options in [&[][..], &["--no-symlinks"], &["--listing"]] {
        let by_kernel = Server::start(&root, options);
        let on_foot = Server::start_with(&root, options, |command| {
            command.env("STHENO_FORCE_FALLBACK", "openat2");
        });
        let (mut one, mut other) = (Asker::new(&by_kernel), Asker::new(&on_foot));
        for target in &targets {
            let (this, that) = (one.get(target), other.get(target));
            let facts = |response: &crate::support::Response| {
                let field = |name| response.field(name).map(String::from);
                (response.status, field("Location"), field("ETag"), response.body.clone())
            };
            assert_eq!(facts(&this), facts(&that), "{target} with {options:?}");
            compared += 1;
        }
    }
    holds(
        "B7",
        format_args!("{compared} responses are equal byte by byte; the whole suite B runs on both backends"),
        "same verdicts",
    );
}
