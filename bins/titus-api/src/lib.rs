//! The wire contract of the platform: Titus API v3 as Titus's clients know it, the agents' protocol, and services
//! of our own beside them, as Protocol Buffers messages with their JSON and their descriptors.
//!
//! ```
//! use titus_api::v3;
//!
//! let job: v3::JobDescriptor = serde_json::from_str(
//!     r#"{"applicationName": "words", "owner": {"teamEmail": "team@example.com"}, "batch": {"size": 4}}"#,
//! )?;
//! assert_eq!(job.application_name, "words");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # Modules
//!
//! | Module | Package | What |
//! |---|---|---|
//! | [`v3`] | `com.netflix.titus` | jobs and tasks, Titus's own names and numbers |
//! | [`agent`] | `titus.agent.v1` | `Sync`, the conversation between scheduler and host |
//! | [`v1`] | `titus.v1` | hosts, events, logs, launch stages, placement, server status |
//!
//! Behind features: `convert` (between these messages and the types of titus-core), `client` (gRPC stubs, as
//! `v3::job_management_service_client`), `server` (gRPC, REST, health and metrics on one port).
#![forbid(unsafe_code)]

pub mod agent;
#[cfg(feature = "convert")]
pub mod convert;
mod redact;
#[cfg(feature = "server")]
pub mod server;
pub mod v1;
pub mod v3;

/// The file descriptors of every message and service here, for reflection and for tools.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
