#![no_main]

#[path = "../oracle/connection/mod.rs"]
mod connection;

libfuzzer_sys::fuzz_target!(|data: &[u8]| connection::connection(data));
