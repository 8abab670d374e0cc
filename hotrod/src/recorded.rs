//! Recorded traffic of real clients and servers, for the tests.

use serde_json::Value;

/// A request to a real server, and its response.
pub(crate) struct Exchange {
    pub(crate) label: String,
    pub(crate) version: u8,
    pub(crate) request: Vec<u8>,
    pub(crate) response: Vec<u8>,
}

fn document() -> Value {
    serde_json::from_str(include_str!("../vectors/recorded.json")).unwrap()
}

pub(crate) fn exchanges() -> impl Iterator<Item = Exchange> {
    let document = document();
    let wire = [&document["wire"], &document["ping"]].map(|part| part.as_array().unwrap().clone());
    wire.into_iter().flatten().map(|exchange| {
        let request = unhex(&exchange["request"]);
        Exchange {
            label: exchange["label"].as_str().unwrap().to_owned(),
            version: exchange["version"]
                .as_u64()
                .map_or(request[2], |version| u8::try_from(version).unwrap()),
            request,
            response: unhex(&exchange["response"]),
        }
    })
}

/// Returns what each recorded client sent on each of its connections.
pub(crate) fn client_streams() -> impl Iterator<Item = (String, Vec<u8>)> {
    let document = document();
    let mut streams = std::collections::BTreeMap::<String, Vec<u8>>::new();
    for (client, items) in document["client_sessions"].as_object().unwrap() {
        for item in items.as_array().unwrap() {
            if item["dir"] == "c2s" {
                let stream =
                    streams.entry(format!("{client}, connection {}", item["conn"])).or_default();
                stream.extend(unhex(&item["hex"]));
            }
        }
    }
    streams.into_iter()
}

fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}
