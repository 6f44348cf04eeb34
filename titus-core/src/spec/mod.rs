//! Job specifications: what a client sends ([`JobRequest`]), and what it becomes once checked ([`JobSpec`]).
//!
//! [`JobSpec::parse`] holds a request against [`Limits`], all rules at once, one a file of `rules/`.

mod digest;
pub mod example;
mod findings;
mod launch;
mod limits;
mod parse;
mod request;
mod rules;
mod secret;
#[expect(
    clippy::module_inception,
    reason = "the module's main type lives in the file of its name"
)]
mod spec;
mod update;
mod violation;

pub use findings::entry_path;
pub use launch::{HostVolume, LaunchSpec};
pub use limits::{Bound, Limit, Limits};
pub use request::{
    BackOffRetry, BatchRequest, Capacity, ConstraintsRequest, ContainerRequest, DelayedRetry, ImageRequest,
    ImmediateRetry, JobGroupInfo, JobRequest, OwnerRequest, ResourcesRequest, RetryRequest,
    SecurityProfileRequest, ServiceProcesses, ServiceRequest, VolumeRequest,
};
pub use secret::Secret;
pub use spec::{BatchSpec, JobKind, JobSpec, RetryPolicy, ServiceSpec};
pub use update::{CapacityUpdate, UpdateRefused, check_enable, set_capacity, shrink};
pub use violation::{Violation, Violations, Warning, WarningKind};
