//! What the tests over the wire share: a running server, its core without sockets, a client for raw bytes, a
//! strict parser of responses, and a folder to serve.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses a part of it")]

pub mod client;
pub mod core;
pub mod dice;
pub mod example;
pub mod folder;
pub mod fronts;
pub mod hostile;
pub mod lacks;
pub mod process;
pub mod response;
pub mod rules;
pub mod server;
pub mod strace;
pub mod tls;

pub use client::Client;
pub use core::Core;
pub use dice::Dice;
pub use folder::Folder;
pub use fronts::Fronts;
pub use response::{Response, parse_all, parse_each};
pub use server::{Front, Server};

/// Runs `test` twice: with the fast system calls, and with their portable fallbacks.
pub fn with_both_backends(test: impl Fn(&dyn Fn(&std::path::Path, &[&str]) -> Server)) {
    test(&|root, options| Server::start(root, options));
    test(&|root, options| {
        Server::start_with(root, options, |command| {
            command.env("STHENO_FORCE_FALLBACK", "all");
        })
    });
}
