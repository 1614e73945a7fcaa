//! The server over the wire.

#[path = "../support/mod.rs"]
mod support;

mod access_log;
mod command;
mod config_file;
mod corpus;
mod file_cache;
mod files;
mod http;
mod listeners;
mod metrics;
mod mutations;
mod options;
mod recording;
mod rules_a;
mod rules_b;
mod rules_c;
mod rules_d;
mod rules_d_rights;
mod rules_e;
mod seed;
mod status;
#[cfg(feature = "tls")]
mod tls;
