#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| newsprint::fuzz::import(data));
