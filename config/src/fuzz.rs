//! What a fuzzer calls.

use crate::{
    CacheConfig, Format, NamedCache, Options, RemoteStoreConfig, Secrets, Writing, parse_cache,
    parse_remote_store, parse_server, parse_server_as,
};

/// Reads any bytes as every kind of document; what is read is written and read again.
///
/// # Panics
///
/// If what was accepted and stored is not read back as what it is.
pub fn fuzz_config(data: &[u8]) {
    let lookup = |name: &str| name.starts_with("env.").then(|| "value".to_owned());
    let formats = [Format::Json, Format::Xml, Format::Yaml, Format::Toml];
    for lenient in [false, true] {
        let options =
            Options { lenient, insecure: lenient, lookup: Some(&lookup), ..Options::default() };
        for format in formats {
            if let Ok(parsed) = parse_server_as(data, format, &options) {
                let file = parsed.value;
                file.caches.iter().chain(&file.templates).for_each(|(_, config)| store(config));
            }
            if let Ok(parsed) = parse_cache(data, format, &options) {
                rewrite(&parsed.value, &options);
            }
        }
        let _ = parse_server(data, &options);
    }
    if let Ok(parsed) = parse_remote_store(data) {
        let _ = parsed.value.to_json();
        let stored = parsed.value.to_stored_json();
        let read = RemoteStoreConfig::from_stored_json(&stored);
        assert!(read.as_ref() == Ok(&parsed.value), "{stored}\nis read back as {read:?}");
    }
}

/// Stores a configuration, and checks that it is read back as what it is.
pub(crate) fn store(config: &CacheConfig) {
    let stored = config.to_stored_json();
    let read = CacheConfig::from_stored_json(&stored);
    let differing = read.as_ref().map(|read| config.differences(read));
    assert!(read.as_ref() == Ok(config), "{stored}\nis read back with {differing:?}: {read:?}");
    assert_eq!(read.unwrap_or_else(|_| config.clone()).to_stored_json(), stored);
}

/// Writes a configuration in every format, and checks that it is read back as what it is. XML has lists of words
/// in the place of lists of texts, so there the configuration that is read back has to be written in the same way.
pub(crate) fn rewrite(NamedCache { name, config }: &NamedCache, options: &Options<'_>) {
    store(config);
    let writing = Writing { secrets: Secrets::Kept, pretty: true };
    for format in [Format::Json, Format::Xml, Format::Yaml] {
        let write = |config| CacheConfig::write(config, name.as_ref(), format, writing);
        let text = write(config);
        let read = parse_cache(text.as_bytes(), format, options);
        let read = read.map(|parsed| parsed.value.config);
        let is_same = read.as_ref().is_ok_and(|read| match format {
            Format::Xml => write(read) == text,
            Format::Json | Format::Yaml | Format::Toml => read == config,
        });
        let differing = read.as_ref().map(|read| config.differences(read));
        assert!(is_same, "{text}\nis read back with {differing:?}: {read:?}");
    }
}

#[cfg(test)]
mod tests;
