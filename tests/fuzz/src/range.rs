#![no_main]

#[path = "../oracle/range.rs"]
mod range;

libfuzzer_sys::fuzz_target!(|data: &[u8]| range::range(data));
