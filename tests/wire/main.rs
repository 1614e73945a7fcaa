//! The server over the wire.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod access_log;
mod command;
mod config_file;
mod corpus;
mod explain;
mod file_cache;
mod files;
mod headers;
mod http;
mod listeners;
mod listings;
mod log_format;
mod metrics;
mod mutations;
mod options;
mod pages;
mod proxy_protocol;
mod recording;
mod replicas;
mod rules_a;
mod rules_b;
mod rules_c;
mod rules_d;
mod rules_d_rights;
mod rules_e;
mod seed;
mod shell;
mod status;
#[cfg(feature = "tls")]
mod tls;
