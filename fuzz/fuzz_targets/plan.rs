#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyrelay_fuzz::plan::run(data));
