//! Stored records: their bytes, and how they become values of titus-core.

pub mod feed;
pub mod host;
pub mod job;
pub mod note;
pub mod request;
pub mod task;
