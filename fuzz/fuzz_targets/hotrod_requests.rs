//! Requests of any client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hotrod::fuzz::requests(data));
