//! The target, the headers and the content of an HTTP request.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    rest::fuzz::target(data);
    rest::fuzz::headers(data);
    rest::fuzz::body(data);
});
