//! Request bodies, bounded, and read whole before anything else is done with a request.
//!
//! A server that answers without having read the body must close the connection under its caller; an
//! answer such as 401 would then cost the caller a connection, and the next request on it might be lost.
//!
//! Invariant: what a handler sees of a body is in memory already and at most [`BODY_BYTES_MAX`] long.

use ::http::StatusCode;
use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The largest request body any role takes, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The same request with its body in memory.
pub(crate) async fn read_whole(request: Request) -> Result<Request, ApiError> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
                .field("body")
                .help(format!("send at most {BODY_BYTES_MAX} bytes"))
        } else {
            ApiError::invalid("body", "the body did not arrive whole")
        }
    })?;
    Ok(Request::from_parts(parts, body.to_bytes().into()))
}

/// The whole body of a request.
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        // In memory already, save where a test calls a handler by itself.
        let (_, body) = read_whole(request).await?.into_parts();
        let collected = body.collect().await;
        let collected = collected.map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(Self(collected.to_bytes()))
    }
}

/// A body from another role, whose shape is ours on both sides.
pub(crate) struct FromRole<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for FromRole<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Body(bytes) = Body::from_request(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            ApiError::invalid(
                "body",
                format!("the body is not what this role takes: {error}"),
            )
        })
    }
}
