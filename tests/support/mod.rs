//! What tests over the wire share: a server to talk to and its core without one, a client that talks raw bytes,
//! a parser that forgives nothing, and a folder to serve.

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

pub use client::Client;
pub use core::Core;
pub use dice::Dice;
pub use folder::Folder;
pub use fronts::Fronts;
pub use response::{Response, parse_all, parse_each};
pub use server::{Front, Server};

/// Runs `test` with the system's fast calls, and with the twins that stand in for them elsewhere.
pub fn with_both_twins(test: impl Fn(&dyn Fn(&std::path::Path, &[&str]) -> Server)) {
    test(&|root, options| Server::start(root, options));
    test(&|root, options| {
        Server::start_with(root, options, |command| {
            command.env("STHENO_FORCE_FALLBACK", "all");
        })
    });
}
