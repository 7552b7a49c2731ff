#![no_main]
#[path = "../oracles.rs"]
mod oracles;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracles::bounded(oracles::render, bytes));
