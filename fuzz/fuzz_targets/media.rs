//! Keys and values in any media type.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz(data));
