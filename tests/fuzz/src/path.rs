#![no_main]

#[path = "../oracle/path.rs"]
mod path;

libfuzzer_sys::fuzz_target!(|data: &[u8]| path::path(data));
