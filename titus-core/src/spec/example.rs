//! Job files to start from, with a comment on every part; `titus job init` writes them.

/// A batch job, in YAML.
pub const BATCH: &str = include_str!("../../data/example_batch.yaml");

/// A service job, in YAML.
pub const SERVICE: &str = include_str!("../../data/example_service.yaml");
