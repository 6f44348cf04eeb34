//! The server: gRPC, REST, health and metrics on one port.

mod api;
pub mod context;
pub mod criteria;
pub mod error;
pub mod fields;
mod grpc;
pub mod json;
mod layer;
mod listen;
mod live;
mod logs;
mod metrics;
pub mod page;
mod rest;
pub mod wire_error;

pub use api::{About, Api, LogStreamer, Observed, Parts, Reply};
pub use listen::{Bounds, Server};
pub use live::Live;
pub use logs::{LogPiece, LogQuery, LogSource, LogStream, NoLogs};
pub use metrics::ApiMetrics;
