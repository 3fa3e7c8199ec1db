//! Request bodies, bounded.

use ::http::StatusCode;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The largest request body any role takes, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// The whole body of a request.
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await;
        bytes
            .map(Self)
            .map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
                        .field("body")
                        .help(format!("send at most {BODY_BYTES_MAX} bytes"))
                }
                _ => ApiError::invalid("body", "the body did not arrive whole"),
            })
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
