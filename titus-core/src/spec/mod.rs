//! Job specifications: what a client sends ([`JobRequest`]), and what it becomes once checked ([`JobSpec`]).

mod launch;
mod request;
mod secret;
#[expect(
    clippy::module_inception,
    reason = "the module's main type lives in the file of its name"
)]
mod spec;
mod violation;

pub use launch::{HostVolume, LaunchSpec};
pub use request::{
    BackOffRetry, BatchRequest, Capacity, ConstraintsRequest, ContainerRequest, DelayedRetry, ImageRequest,
    ImmediateRetry, JobGroupInfo, JobRequest, OwnerRequest, ResourcesRequest, RetryRequest,
    SecurityProfileRequest, ServiceProcesses, ServiceRequest, VolumeRequest,
};
pub use secret::Secret;
pub use spec::{BatchSpec, JobKind, JobSpec, RetryPolicy, ServiceSpec};
pub use violation::{Violation, Violations};
