//! Responses of any server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hotrod::fuzz::responses(data));
