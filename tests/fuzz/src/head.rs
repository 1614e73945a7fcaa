#![no_main]

#[path = "../oracle/cuts.rs"]
mod cuts;
#[path = "../oracle/head.rs"]
mod head;

libfuzzer_sys::fuzz_target!(|data: &[u8]| head::head(data));
