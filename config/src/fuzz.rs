//! What a fuzzer calls.

use crate::{
    CacheConfig, Format, NamedCache, Options, RemoteStoreConfig, Secrets, Writing, parse_cache,
    parse_remote_store, parse_server, parse_server_as,
};

/// Reads any bytes as every kind of document; what is read is written and read again.
pub fn fuzz_config(data: &[u8]) {
    let lookup = |name: &str| name.starts_with("env.").then(|| "value".to_owned());
    let formats = [Format::Json, Format::Xml, Format::Yaml, Format::Toml];
    for lenient in [false, true] {
        let options =
            Options { lenient, insecure: lenient, lookup: Some(&lookup), ..Options::default() };
        for format in formats {
            let _ = parse_server_as(data, format, &options);
            if let Ok(parsed) = parse_cache(data, format, &options) {
                rewrite(&parsed.value);
            }
        }
        let _ = parse_server(data, &options);
    }
    if let Ok(parsed) = parse_remote_store(data) {
        let _ = parsed.value.to_json();
        let _ = RemoteStoreConfig::from_stored_json(&parsed.value.to_stored_json());
    }
}

fn rewrite(NamedCache { name, config }: &NamedCache) {
    let writing = Writing { secrets: Secrets::Kept, pretty: true };
    for format in [Format::Json, Format::Xml, Format::Yaml] {
        let text = CacheConfig::write(config, name.as_ref(), format, writing);
        let _ = parse_cache(text.as_bytes(), format, &Options::default());
    }
}

#[cfg(test)]
mod tests;
