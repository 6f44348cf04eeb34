//! gRPC: each call carried to its operation.

mod jobs;
mod own;

use std::pin::Pin;
use std::sync::Arc;

use prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use titus_core::spec::Warning;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::codec::CompressionEncoding::Gzip;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::api::{Api, Reply};
use super::context::{CallContext, REVISION_HEADER};
use super::error::{ApiError, ErrorKind, cut};
use super::fields::pool;
use super::wire_error::ascii;
use crate::v1::event_service_server::EventServiceServer;
use crate::v1::host_service_server::HostServiceServer;
use crate::v1::server_service_server::ServerServiceServer;
use crate::v1::task_insight_service_server::TaskInsightServiceServer;
use crate::v3::health_server::HealthServer;
use crate::v3::job_management_service_server::JobManagementServiceServer;

/// Each warning of an accepted request.
pub(crate) const WARNING_HEADER: &str = "x-titus-warning";

/// The largest message that is read.
const MAX_MESSAGE: usize = super::json::MAX_BODY;

/// Room for warnings among an answer's headers.
const MAX_WARNINGS: usize = 2_048;

/// A server stream.
pub(crate) type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The services, over one set of operations.
#[derive(Debug, Clone)]
pub(crate) struct Grpc(pub(crate) Arc<Api>);

macro_rules! service {
    ($server:ident, $grpc:expr) => {
        $server::new($grpc.clone())
            .accept_compressed(Gzip)
            .send_compressed(Gzip)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    };
}

/// Every service with reflection and `grpc.health.v1`, and what reports to the latter.
pub(crate) fn routes(api: Arc<Api>) -> (Routes, tonic_health::server::HealthReporter) {
    let grpc = Grpc(api);
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = Routes::builder();
    routes
        .add_service(service!(JobManagementServiceServer, grpc))
        .add_service(service!(HealthServer, grpc))
        .add_service(service!(HostServiceServer, grpc))
        .add_service(service!(EventServiceServer, grpc))
        .add_service(service!(TaskInsightServiceServer, grpc))
        .add_service(service!(ServerServiceServer, grpc))
        .add_service(health);
    let reflection = || {
        let set = FileDescriptorSet::decode(crate::DESCRIPTORS).expect("the build wrote these descriptors");
        tonic_reflection::server::Builder::configure()
            .register_file_descriptor_set(set)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    if let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) {
        routes.add_service(v1).add_service(v1alpha);
    }
    (routes.routes(), reporter)
}

/// The names of the services whose health is told.
pub(crate) fn service_names() -> Vec<String> {
    let services = pool().services().map(|service| service.full_name().to_owned());
    services
        .filter(|name| !name.starts_with("titus.agent."))
        .collect()
}

fn context(metadata: &MetadataMap) -> Result<CallContext, Status> {
    Ok(CallContext::from_headers(metadata.as_ref())?)
}

/// Splits a call into what it says of itself and what it asks.
fn open<T>(request: Request<T>) -> Result<(CallContext, T), Status> {
    let (metadata, _, message) = request.into_parts();
    Ok((context(&metadata)?, message))
}

fn answer<T>(message: Result<T, ApiError>) -> Result<Response<T>, Status> {
    Ok(Response::new(message?))
}

/// The answer of a write: with its revision, and what the caller should know.
fn written<T>(reply: Result<Reply<T>, ApiError>) -> Result<Response<T>, Status> {
    let reply = reply?;
    let mut response = Response::new(reply.message);
    let metadata = response.metadata_mut();
    if let Ok(value) = MetadataValue::try_from(reply.revision.to_string()) {
        metadata.insert(REVISION_HEADER, value);
    }
    for line in warning_lines(&reply.warnings) {
        if let Ok(value) = MetadataValue::try_from(line) {
            metadata.append(WARNING_HEADER, value);
        }
    }
    Ok(response)
}

/// Warnings as header lines, as many as have room; the last line says how many are left out.
pub(crate) fn warning_lines(warnings: &[Warning]) -> Vec<String> {
    let mut room = MAX_WARNINGS;
    let mut lines = Vec::new();
    for warning in warnings {
        let line = ascii(&cut(warning.to_string(), 300));
        if line.len() > room {
            lines.push(format!("and {} more", warnings.len() - lines.len()));
            break;
        }
        room -= line.len();
        lines.push(line);
    }
    lines
}

fn stream<T: Send + 'static>(receiver: mpsc::Receiver<Result<T, ApiError>>) -> Response<Streamed<T>> {
    let items = ReceiverStream::new(receiver).map(|item| item.map_err(Status::from));
    Response::new(Box::pin(items))
}

/// The answer of a call that is in the contract and not offered by this server.
pub(crate) fn not_offered(call: &str, instead: &str) -> ApiError {
    ApiError::new(
        ErrorKind::NotOffered,
        format!("{call} is not offered by this server: {instead}"),
    )
}
