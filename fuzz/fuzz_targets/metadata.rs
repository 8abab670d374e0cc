//! Metadata files, damaged or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cluster::fuzz::metadata(data));
