//! The server: gRPC, REST, health and metrics on one port.

mod api;
pub mod context;
pub mod criteria;
pub mod error;
pub mod fields;
pub mod json;
mod live;
mod logs;
pub mod page;
pub mod wire_error;

pub use api::{About, Api, LogStreamer, Observed, Parts};
pub use live::{Batch, Live, Reached, Seen};
pub use logs::{LogPiece, LogQuery, LogSource, LogStream, NoLogs};
