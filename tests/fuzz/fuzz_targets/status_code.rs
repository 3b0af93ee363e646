#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::status_code(data));
