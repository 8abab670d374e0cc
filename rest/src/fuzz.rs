//! What a fuzzer calls: everything that reads what clients send, short of carrying it out.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::CONTENT_TYPE};
use media::MediaType;

use crate::{
    multipart,
    request::{
        AdminFlags, Conditions, EntryFlags, Parameters, WriteCondition, accepted, document_type,
        expiration, media_type, path, wants_json_only,
    },
    resource::described_rates,
};

/// Reads any bytes as the target of a request.
pub fn target(data: &[u8]) {
    let Ok(uri) = Uri::try_from(data) else { return };
    let parameters = Parameters::of(&uri);
    let _ = (parameters.action(), parameters.number("limit"), parameters.positive("batch"));
    let _ = parameters.only("an operation", &["threads"]).map(|own| own.large("threads"));
    path(&uri);
}

/// Reads any bytes as headers, one on each line, name and value divided by a colon.
pub fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => line.split_at(colon),
            None => (line, &b""[..]),
        };
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            headers.append(name, value);
        }
    }
    let _ = (EntryFlags::of(&headers), AdminFlags::of(&headers));
    let _ = (Conditions::of(&headers), WriteCondition::of_write(&headers));
    let _ = WriteCondition::of_removal(&headers);
    let _ = expiration(&headers, &config::DefaultExpiration::default());
    let _ = (media_type(&headers, CONTENT_TYPE), wants_json_only(&headers));
    let _ = document_type(&headers, &[MediaType::JSON, MediaType::XML, MediaType::YAML]);
    let _ = media::negotiate(&accepted(&headers), Some(&MediaType::TEXT));
}

/// Reads any bytes as the content of requests.
pub fn body(data: &[u8]) {
    let _ = config::parse_remote_store(data);
    let _ = described_rates(data);
    if let Ok(boundary) = "multipart/form-data; boundary=B".parse() {
        let _ = multipart::parts(&boundary, data);
    }
}
