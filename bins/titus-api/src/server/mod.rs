//! The server: gRPC, REST, health and metrics on one port.

pub mod context;
pub mod criteria;
pub mod error;
pub mod fields;
pub mod json;
pub mod page;
pub mod wire_error;
