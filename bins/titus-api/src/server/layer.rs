//! What surrounds every call: a bound on calls in flight and on their time, counts, and the trailers of gRPC.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use http_body_util::BodyExt as _;
use titus_store::clock::Clock;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use super::context::REVISION_HEADER;
use super::error::{ApiError, ErrorKind};
use super::fields::pool;
use super::grpc::WARNING_HEADER;
use super::metrics::{ApiMetrics, CallLabels, MethodLabels};
use super::wire_error;

/// What the surroundings of a call need.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) timeout: Duration,
    pub(crate) metrics: ApiMetrics,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Lets a call through, or refuses it, and counts how it ended.
pub(crate) async fn gate(State(gate): State<Gate>, request: Request, next: Next) -> Response<Body> {
    let method = method_label(&request);
    let grpc = is_grpc(request.headers());
    let began = gate.clock.elapsed();
    gate.metrics.in_flight.inc();
    let response = match admit(&gate, &request) {
        Ok(_slot) => within(&gate, request, next).await,
        Err(error) => Err(error),
    };
    let response = response.unwrap_or_else(|error| refusal(grpc, error));
    let response = if grpc { with_trailers(response) } else { response };
    gate.metrics.in_flight.dec();
    let spent = gate.clock.elapsed().saturating_sub(began);
    gate.metrics
        .seconds
        .get_or_create(&MethodLabels {
            method: method.clone(),
        })
        .observe(spent.as_secs_f64());
    let code = code_label(grpc, &response);
    tracing::debug!(
        method,
        code,
        micros = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX),
        "call answered"
    );
    gate.metrics
        .requests
        .get_or_create(&CallLabels { method, code })
        .inc();
    response
}

fn admit<'a>(gate: &'a Gate, request: &Request) -> Result<tokio::sync::SemaphorePermit<'a>, ApiError> {
    // Every browser names the origin of a page that writes; none of our clients is one.
    if request.method() != Method::GET && request.headers().contains_key(header::ORIGIN) {
        return Err(ApiError::invalid(
            "calls from web pages of other origins are not taken",
        ));
    }
    gate.slots.try_acquire().map_err(|_| {
        gate.metrics.shed.inc();
        ApiError::new(
            ErrorKind::Overloaded,
            "too many calls at once: try again in a second",
        )
    })
}

async fn within(gate: &Gate, request: Request, next: Next) -> Result<Response<Body>, ApiError> {
    let asked = request.headers().get("grpc-timeout").and_then(grpc_timeout);
    let bound = asked.map_or(gate.timeout, |asked| asked.min(gate.timeout));
    tokio::time::timeout(bound, next.run(request)).await.map_err(|_| {
        let message = format!(
            "no answer within {} ms: it may have been done all the same",
            bound.as_millis()
        );
        ApiError::new(ErrorKind::Timeout, message)
    })
}

fn refusal(grpc: bool, error: ApiError) -> Response<Body> {
    if grpc {
        Status::from(error).into_http()
    } else {
        wire_error::to_http(&error)
    }
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// At most eight digits and a unit, as the gRPC protocol writes it.
fn grpc_timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = (digits.len() <= 8).then(|| digits.parse().ok())??;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Repeats what an answer says of a write in its trailers, and blames the sender for a message that does not decode.
fn with_trailers(mut response: Response<Body>) -> Response<Body> {
    let undecodable = |headers: &HeaderMap| {
        let message = headers.get("grpc-message").map(HeaderValue::as_bytes);
        message.is_some_and(|m| m.starts_with(b"failed%20to%20decode%20Protobuf"))
    };
    if undecodable(response.headers()) {
        response
            .headers_mut()
            .insert("grpc-status", HeaderValue::from(Code::InvalidArgument as i32));
    }
    let told: Vec<(HeaderName, HeaderValue)> = [REVISION_HEADER, WARNING_HEADER]
        .into_iter()
        .flat_map(|name| {
            response
                .headers()
                .get_all(name)
                .iter()
                .map(move |v| (HeaderName::from_static(name), v.clone()))
        })
        .collect();
    if told.is_empty() {
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                trailers.extend(told.iter().cloned());
            }
            frame
        }))
    })
}

/// The name under which a call is counted: one of those that exist, never what was sent.
fn method_label(request: &Request) -> String {
    if is_grpc(request.headers()) {
        return grpc_method(request.uri().path()).unwrap_or_else(|| "unknown".to_owned());
    }
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unknown", MatchedPath::as_str);
    let verb = match *request.method() {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    };
    format!("{verb} {route}")
}

fn grpc_method(path: &str) -> Option<String> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let found = pool().get_service_by_name(service)?;
    let method = found.methods().find(|m| m.name() == method)?;
    Some(format!("{}/{}", found.name(), method.name()))
}

fn code_label(grpc: bool, response: &Response<Body>) -> String {
    if !grpc {
        return response.status().as_u16().to_string();
    }
    let code = response
        .headers()
        .get("grpc-status")
        .map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()));
    format!("{code:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        let read = |text: &str| grpc_timeout(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read("5S"), Some(Duration::from_secs(5)));
        assert_eq!(read("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("70m"), Some(Duration::from_millis(70)));
        assert_eq!(read("99999999u"), Some(Duration::from_micros(99_999_999)));
        assert_eq!(read("1n"), Some(Duration::from_nanos(1)));
        for bad in ["", "S", "5", "5X", "-5S", "123456789S", "5 S"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_calls_that_exist_get_a_name_of_their_own() {
        let name = |path: &str| {
            let request = Request::builder()
                .uri(path)
                .header("content-type", "application/grpc+proto");
            method_label(&request.body(Body::empty()).unwrap())
        };
        assert_eq!(
            name("/com.netflix.titus.JobManagementService/FindJobs"),
            "JobManagementService/FindJobs"
        );
        assert_eq!(name("/com.netflix.titus.JobManagementService/Drop"), "unknown");
        assert_eq!(name("/x"), "unknown");
    }
}
