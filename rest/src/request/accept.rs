//! Which form of a document a client wants.

use http::{HeaderMap, header::ACCEPT};
use media::MediaType;

use crate::problem::Problem;

/// The media type to answer in, of those that are offered: the one with the highest weight, of
/// several the one that the client names first, and the first offered one if it does not care.
///
/// # Errors
///
/// If it takes none of them.
pub(crate) fn document_type(
    headers: &HeaderMap,
    offered: &[MediaType],
) -> Result<MediaType, Problem> {
    let accept = accepted(headers);
    let mut best: Option<(f32, &MediaType)> = None;
    for (weight, range) in ranges(&accept) {
        let chosen = offered.iter().find(|offered| range.matches(offered));
        if let Some(chosen) = chosen
            && best.is_none_or(|(standing, _)| weight > standing)
            && weight > 0.0
        {
            best = Some((weight, chosen));
        }
    }
    best.map(|(_, chosen)| chosen.clone())
        .ok_or_else(|| Problem::not_acceptable(format!("ISPN012007: Cannot convert to {accept}")))
}

/// Returns whether a client takes JSON and says nothing of anything else: a program, not a person.
pub(crate) fn wants_json_only(headers: &HeaderMap) -> bool {
    let accept = accepted(headers);
    let mut ranges = ranges(&accept).peekable();
    ranges.peek().is_some() && ranges.all(|(_, range)| range == Range::One(MediaType::JSON))
}

/// All `Accept` headers of a request as one; everything if there is none.
pub(crate) fn accepted(headers: &HeaderMap) -> String {
    let values = headers.get_all(ACCEPT).iter();
    let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    if texts.is_empty() { "*/*".to_owned() } else { texts.join(",") }
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    All,
    /// `text/*`: its type and the slash.
    Family(String),
    One(MediaType),
}

impl Range {
    fn matches(&self, media_type: &MediaType) -> bool {
        match self {
            Self::All => true,
            Self::Family(family) => media_type.essence().starts_with(family),
            Self::One(one) => one == media_type,
        }
    }
}

/// The ranges of an `Accept`, with their weights. What cannot be read is left out.
fn ranges(accept: &str) -> impl Iterator<Item = (f32, Range)> + '_ {
    accept.split(',').filter_map(|range| {
        let range = range.trim();
        let (name, _) = range.split_once(';').unwrap_or((range, ""));
        if name.trim() == "*" {
            return Some((1.0, Range::All));
        }
        let media_type: MediaType = range.parse().ok()?;
        let weight = media_type.parameter("q").map_or(Ok(1.0), str::parse).ok()?;
        let range = match media_type.essence() {
            "*/*" => Range::All,
            family if family.ends_with("/*") => Range::Family(family.trim_end_matches('*').into()),
            _ => Range::One(media_type.without_parameter("q")),
        };
        Some((weight, range))
    })
}

#[cfg(test)]
mod tests {
    //! Headers that clients send.

    use http::HeaderValue;

    use super::*;

    const OFFERED: [MediaType; 3] = [MediaType::JSON, MediaType::XML, MediaType::YAML];

    fn headers(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))])
    }

    #[test]
    fn a_document_is_given_in_the_form_that_a_client_wants_most() {
        for (accept, chosen) in [
            ("*/*", Some("application/json")),
            ("application/xml", Some("application/xml")),
            ("text/html,application/xml;q=0.9", Some("application/xml")),
            ("application/xml;q=0.5, application/yaml", Some("application/yaml")),
            ("application/*", Some("application/json")),
            ("text/html, image/gif, *; q=.2", Some("application/json")),
            ("text/plain", None),
            ("application/xml;q=0", None),
            ("garbage", None),
        ] {
            let found = document_type(&headers(accept), &OFFERED).map(|it| it.to_string());
            assert_eq!(found.ok().as_deref(), chosen, "{accept}");
        }
        assert_eq!(document_type(&HeaderMap::new(), &OFFERED), Ok(MediaType::JSON));
        let problem = document_type(&headers("text/plain"), &OFFERED).unwrap_err();
        assert_eq!(problem.text, "ISPN012007: Cannot convert to text/plain");
    }

    #[test]
    fn a_program_takes_json_alone() {
        assert!(wants_json_only(&headers("application/json")));
        assert!(!wants_json_only(&headers("application/json, text/plain")));
        assert!(!wants_json_only(&headers("*/*")) && !wants_json_only(&HeaderMap::new()));
    }
}
