//! What a fuzzer calls: everything that reads bytes of the metadata file.

/// Reads any bytes as a metadata file, and as the commands in one.
pub fn metadata(data: &[u8]) {
    crate::log::fuzz(data);
}
