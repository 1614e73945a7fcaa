#![no_main]

#[path = "../oracle/cuts.rs"]
mod cuts;
#[path = "../oracle/chunked.rs"]
mod chunked;

libfuzzer_sys::fuzz_target!(|data: &[u8]| chunked::chunked(data));
