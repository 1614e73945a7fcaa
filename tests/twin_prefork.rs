//! The twin on Tokio (`examples/tokio_httpd.rs`), a runtime of one thread in each process: the server's own tests over the
//! wire, and its responses beside the server's, byte by byte.
//!
//! `support::Front` starts the twin for a crate of this name. `support/lacks.rs` lists the tests that it does not
//! pass, with the reason.

#[path = "support/mod.rs"]
mod support;
mod twin;

/// The server's own.
mod wire {
    mod access_log;
    mod command;
    mod config_file;
    pub(crate) mod corpus;
    mod explain;
    mod file_cache;
    mod files;
    mod headers;
    mod http;
    mod listeners;
    mod listings;
    mod log_format;
    mod mutations;
    mod options;
    mod pages;
    mod replicas;
    mod rules_a;
    mod rules_b;
    mod rules_d;
    mod rules_d_rights;
    mod seed;
    mod shell;
}
