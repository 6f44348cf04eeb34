//! `/api/v1`: our own services, for curl.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::query::Query;
use super::{Answer, Id, context, found};
use crate::server::api::Api;
use crate::server::error::ApiError;
use crate::server::json;
use crate::v1;

/// Stands in a log for what was rotated away before it could be read.
const GAP: &[u8] = b"\n[titus: older parts of this log were rotated away]\n";

pub(crate) async fn hosts(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Answer {
    let mut query = Query::parse(raw.as_deref());
    let request = v1::ListHostsRequest {
        page_size: query.take_as("pageSize", "a number from 1")?.unwrap_or(0),
        cursor: query.take("cursor").unwrap_or_default(),
    };
    query.end()?;
    found(api.list_hosts(&context(&headers)?, &request).await)
}

pub(crate) async fn host(State(api): State<Arc<Api>>, headers: HeaderMap, Id(id): Id) -> Answer {
    found(api.get_host(&context(&headers)?, &id).await)
}

pub(crate) async fn warnings(State(api): State<Arc<Api>>, headers: HeaderMap, Id(id): Id) -> Answer {
    found(api.job_warnings(&context(&headers)?, &id).await)
}

pub(crate) async fn stages(State(api): State<Arc<Api>>, headers: HeaderMap, Id(id): Id) -> Answer {
    found(api.launch_stages(&context(&headers)?, &id).await)
}

pub(crate) async fn why(State(api): State<Arc<Api>>, headers: HeaderMap, Id(id): Id) -> Answer {
    found(api.explain_placement(&context(&headers)?, &id).await)
}

pub(crate) async fn status(State(api): State<Arc<Api>>) -> Response<Body> {
    json::answer(StatusCode::OK, &api.server_status())
}

/// A log as plain bytes: `?stream=stdout|stderr&follow=true&tail=N`.
pub(crate) async fn logs(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Id(task_id): Id,
    RawQuery(raw): RawQuery,
) -> Answer {
    let mut query = Query::parse(raw.as_deref());
    let stream = match query.take("stream").as_deref() {
        None | Some("stdout") => v1::LogStream::Stdout,
        Some("stderr") => v1::LogStream::Stderr,
        Some(_) => return Err(ApiError::invalid("stream must be stdout or stderr").into()),
    };
    let request = v1::ReadLogsRequest {
        task_id,
        stream: stream.into(),
        follow: query.take_as("follow", "true or false")?.unwrap_or(false),
        tail_lines: query.take_as("tail", "a number of lines")?,
    };
    query.end()?;
    let mut chunks = api.read_logs(&context(&headers)?, request).await?;
    // The first piece is awaited so that a log that cannot be read is an error and not an empty answer.
    let first = chunks.recv().await.transpose()?;
    let rest = ReceiverStream::new(chunks);
    let all = tokio_stream::iter(first.map(Ok)).chain(rest);
    Ok(plain(
        "text/plain; charset=utf-8",
        all.map(|piece| piece.map(log_bytes)),
    ))
}

fn log_bytes(chunk: v1::LogChunk) -> Bytes {
    if chunk.gap {
        Bytes::from_static(GAP)
    } else {
        chunk.data.into()
    }
}

/// Events as JSON Lines: `?after=CURSOR&follow=false&jobId=&taskId=&hostId=`.
pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Answer {
    let mut query = Query::parse(raw.as_deref());
    let follow: bool = query.take_as("follow", "true or false")?.unwrap_or(true);
    let request = v1::WatchEventsRequest {
        after: query.take("after").unwrap_or_default(),
        no_follow: !follow,
        job_id: query.take("jobId").unwrap_or_default(),
        task_id: query.take("taskId").unwrap_or_default(),
        host_id: query.take("hostId").unwrap_or_default(),
    };
    query.end()?;
    let events = ReceiverStream::new(api.watch_events(&context(&headers)?, request).await?);
    Ok(plain(
        "application/jsonl",
        events.map(|event| event.map(|event| line(&event))),
    ))
}

fn line(event: &v1::Event) -> Bytes {
    let mut text = serde_json::to_string(event).unwrap_or_default();
    text.push('\n');
    text.into()
}

/// A stream that ends the connection early where it fails, so that a client sees that it is not whole. Its bytes
/// come from tenants: no browser may take them for anything but text.
fn plain(
    kind: &'static str,
    bytes: impl tokio_stream::Stream<Item = Result<Bytes, ApiError>> + Send + 'static,
) -> Response<Body> {
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
