//! REST: the same operations with protobuf JSON. Updates answer 200 with an empty body, as Titus's clients expect.

mod jobs;
mod own;
mod probes;
mod query;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts, Path, Request};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;

use super::api::{Api, Reply};
use super::context::{CallContext, REVISION_HEADER};
use super::error::{ApiError, ErrorKind};
use super::grpc::{WARNING_HEADER, warning_lines};
use super::layer::is_grpc;
use super::{json, wire_error};

/// What the handlers work on.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    pub(crate) api: Arc<Api>,
    pub(crate) registry: Arc<Registry>,
}

impl FromRef<Rest> for Arc<Api> {
    fn from_ref(rest: &Rest) -> Self {
        Self::clone(&rest.api)
    }
}

/// Every path that is not gRPC.
pub(crate) fn routes(rest: Rest) -> Router {
    let v3 = Router::new()
        .route("/jobs", post(jobs::create).get(jobs::list))
        .route("/jobs/{id}", get(jobs::one).delete(jobs::kill))
        .route("/jobs/{id}/instances", put(jobs::instances))
        .route("/jobs/{id}/capacityAttributes", put(jobs::capacity_attributes))
        .route("/jobs/{id}/jobprocesses", put(|| unoffered("UpdateJobProcesses")))
        .route(
            "/jobs/{id}/disruptionBudget",
            put(|| unoffered("UpdateJobDisruptionBudget")),
        )
        .route(
            "/jobs/{id}/attributes",
            put(|| unoffered("UpdateJobAttributes")).delete(|| unoffered("DeleteJobAttributes")),
        )
        .route("/jobs/{id}/enable", post(jobs::enable))
        .route("/jobs/{id}/disable", post(jobs::disable))
        .route("/tasks", get(jobs::list_tasks))
        .route("/tasks/{id}", get(jobs::one_task).delete(jobs::kill_task))
        .route(
            "/tasks/{id}/attributes",
            put(|| unoffered("UpdateTaskAttributes")).delete(|| unoffered("DeleteTaskAttributes")),
        )
        .route("/tasks/move", post(|| unoffered("MoveTask")))
        .route("/status", get(probes::titus_health));
    let own = Router::new()
        .route("/hosts", get(own::hosts))
        .route("/hosts/{id}", get(own::host))
        .route("/jobs/{id}/warnings", get(own::warnings))
        .route("/tasks/{id}/logs", get(own::logs))
        .route("/tasks/{id}/stages", get(own::stages))
        .route("/tasks/{id}/why", get(own::why))
        .route("/events", get(own::events))
        .route("/status", get(own::status));
    Router::new()
        .nest("/api/v3", v3)
        .nest("/api/v1", own)
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(probes::ready))
        .route("/health", get(probes::titus_health))
        .route("/metrics", get(probes::metrics))
        .route("/version", get(probes::version))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(rest)
}

async fn unoffered(call: &'static str) -> Failure {
    Failure(super::grpc::not_offered(call, super::api::unoffered(call)))
}

async fn no_route(request: Request) -> Response<Body> {
    let shown: String = request.uri().path().chars().take(200).collect();
    if is_grpc(request.headers()) {
        return Status::from(ApiError::new(
            ErrorKind::NotOffered,
            format!("this server has no call {shown}"),
        ))
        .into_http();
    }
    let message = format!("nothing is at {shown:?}: the API is below /api/v3 and /api/v1");
    wire_error::to_http(&ApiError::new(ErrorKind::NoSuchPath, message))
}

async fn no_method(request: Request) -> Failure {
    let message = format!(
        "{} is not offered at {:?}",
        request.method(),
        request.uri().path()
    );
    Failure(ApiError::new(ErrorKind::NoSuchMethod, message))
}

/// The id in a path; what it must look like is for the operation to say.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(id) = path.map_err(|e| ApiError::invalid(format!("the id in the path: {e}")))?;
        Ok(Self(id))
    }
}

/// An error as an answer.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) ApiError);

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response<Body> {
        wire_error::to_http(&self.0)
    }
}

pub(crate) type Answer = Result<Response<Body>, Failure>;

fn context(headers: &HeaderMap) -> Result<CallContext, Failure> {
    Ok(CallContext::from_headers(headers)?)
}

/// Reads a body of bounded size as one message.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Failure> {
    let bytes = axum::body::to_bytes(body, json::MAX_BODY).await.map_err(|_| {
        let message = format!(
            "the body could not be read whole: at most {} bytes are taken",
            json::MAX_BODY
        );
        ApiError::new(ErrorKind::TooLarge, message)
    })?;
    Ok(json::parse(&bytes)?)
}

fn found<T: Serialize>(message: Result<T, ApiError>) -> Answer {
    Ok(json::answer(StatusCode::OK, &message?))
}

/// The answer of a write that tells nothing but that it was done.
fn done<T>(reply: Result<Reply<T>, ApiError>) -> Answer {
    let reply = reply?;
    let mut response = Response::new(Body::empty());
    tell(&mut response, &reply);
    Ok(response)
}

/// Puts the revision and the warnings of a write among its headers.
fn tell<T>(response: &mut Response<Body>, reply: &Reply<T>) {
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static(REVISION_HEADER),
        HeaderValue::from(reply.revision.0),
    );
    for line in warning_lines(&reply.warnings) {
        if let Ok(value) = HeaderValue::try_from(line) {
            headers.append(HeaderName::from_static(WARNING_HEADER), value);
        }
    }
}
