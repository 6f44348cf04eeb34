//! Probes and metrics.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use super::Rest;
use super::query::Query;
use crate::server::api::Api;
use crate::server::json;
use crate::server::wire_error::json_response;

/// Ready once the view is warm; with `?verbose` it says what is checked.
pub(crate) async fn ready(State(api): State<Arc<Api>>, RawQuery(raw): RawQuery) -> (StatusCode, String) {
    let mut query = Query::parse(raw.as_deref());
    let verbose = query.take("verbose").is_some_and(|v| v != "false");
    let (status, mark, word, view) = if api.live().get().is_some() {
        (StatusCode::OK, "[+]", "ok", "has read the cluster's state")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "[-]",
            "not ready",
            "is reading the cluster's state",
        )
    };
    let text = if verbose {
        format!("{mark}view {view}\n{word}\n")
    } else {
        format!("{word}\n")
    };
    (status, text)
}

pub(crate) async fn titus_health(State(api): State<Arc<Api>>) -> Response<Body> {
    json::answer(StatusCode::OK, &api.health())
}

pub(crate) async fn version() -> Response<Body> {
    let version = env!("CARGO_PKG_VERSION");
    json_response(
        StatusCode::OK,
        serde_json::json!({"version": version}).to_string(),
    )
}

pub(crate) async fn metrics(State(rest): State<Rest>) -> Response<Body> {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &rest.registry).is_err() {
        tracing::error!("metrics could not be encoded");
    }
    let mut response = Response::new(Body::from(text));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
