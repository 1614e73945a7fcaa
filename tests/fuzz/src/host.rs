#![no_main]

#[path = "../oracle/host.rs"]
mod host;

libfuzzer_sys::fuzz_target!(|data: &[u8]| host::host(data));
