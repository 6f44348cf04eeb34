//! The host agent: turns directives into running containers.

pub mod agent;
pub mod clock;
mod error;
pub mod executor;
pub mod host;
pub mod images;
pub mod journal;
pub mod link;
pub mod logs;
pub mod metrics;

pub use agent::Agent;
pub use error::Error;
