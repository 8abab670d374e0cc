//! The content of a request, within its limit.

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::{node::Shared, problem::Problem};

/// All of the content of a request.
pub(crate) struct Content(pub(crate) Bytes);

impl FromRequest<Shared> for Content {
    type Rejection = Problem;

    async fn from_request(request: Request, node: &Shared) -> Result<Self, Problem> {
        let limit = node.about.max_content;
        let body: Body = request.into_body();
        let read = Limited::new(body, limit).collect().await;
        match read {
            Ok(content) => Ok(Self(content.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => {
                let text = format!("the content is larger than {limit} bytes");
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text))
            }
            Err(error) => Err(Problem::bad_request(format!("the content breaks off: {error}"))),
        }
    }
}
