//! The server: gRPC, REST, health and metrics on one port.

mod api;
mod context;
mod criteria;
mod error;
mod fields;
mod grpc;
mod json;
mod layer;
mod listen;
mod live;
mod logs;
mod metrics;
mod page;
mod rest;
mod wire_error;

pub use api::{About, Api, LogStreamer, Observed, Parts, Reply};
pub use context::CallContext;
pub use error::{ApiError, ErrorKind};
pub use listen::{Bounds, Server};
pub use live::Live;
pub use logs::{LogPiece, LogQuery, LogSource, LogStream, NoLogs};
pub use metrics::ApiMetrics;
