//! The content of a request, within its limit.

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::{StatusCode, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::{node::Shared, problem::Problem};

/// All of the content of a request.
pub(crate) struct Content(pub(crate) Bytes);

impl FromRequest<Shared> for Content {
    type Rejection = Problem;

    async fn from_request(request: Request, node: &Shared) -> Result<Self, Problem> {
        let limit = node.about.max_content;
        if announced(&request).is_some_and(|length| length > limit as u64) {
            // Before anything of it is read, so that a client that asks whether to go on need not send it.
            return Err(too_large(limit));
        }
        let body: Body = request.into_body();
        let read = Limited::new(body, limit).collect().await;
        match read {
            Ok(content) => Ok(Self(content.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit)),
            Err(error) => Err(Problem::bad_request(format!("the content breaks off: {error}"))),
        }
    }
}

/// The length that a request announces.
fn announced(request: &Request) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn too_large(limit: usize) -> Problem {
    let text = format!("the content is larger than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text)
}

#[cfg(test)]
mod tests {
    //! What a request announces.

    use super::*;

    #[test]
    fn the_length_that_is_announced_is_read_if_it_is_a_number() {
        let request = |length: Option<&str>| {
            let mut request = Request::new(Body::empty());
            let length = length.map(|length| length.parse().unwrap());
            length.map(|length| request.headers_mut().insert(CONTENT_LENGTH, length));
            announced(&request)
        };
        assert_eq!(request(None), None, "it comes in chunks");
        assert_eq!(request(Some("1000001")), Some(1_000_001));
        assert_eq!(request(Some(" 7 ")), Some(7));
        for nonsense in ["", "-1", "7 bytes", "99999999999999999999"] {
            assert_eq!(request(Some(nonsense)), None, "{nonsense}");
        }
    }
}
