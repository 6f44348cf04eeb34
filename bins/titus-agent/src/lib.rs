//! The host agent.

pub mod link;
pub mod logs;
