#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::text_split(data));
