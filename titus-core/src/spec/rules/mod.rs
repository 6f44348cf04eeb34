//! One rule a file. A rule tidies its own fields (and says so), then refuses what cannot be accepted.

mod agent;
mod attributes;
mod batch;
mod constraints;
mod env;
mod image;
mod kind;
mod names;
mod owner;
mod process;
mod resources;
mod retry;
mod security;
mod service;
mod size;
mod text;
mod volumes;

use super::findings::Findings;
use super::limits::Limits;
use super::request::JobRequest;

pub(super) use agent::grace;
pub(super) use resources::cpu_milli;
pub(super) use service::capacity;

type Rule = fn(&mut JobRequest, &Limits, &mut Findings);

const RULES: [Rule; 16] = [
    owner::check,
    names::check,
    attributes::check,
    resources::check,
    image::check,
    process::check,
    env::check,
    security::check,
    agent::check,
    constraints::check,
    volumes::check,
    kind::check,
    batch::check,
    service::check,
    retry::check,
    size::check,
];

/// Runs every rule over a request, which is tidied on the way.
pub(super) fn apply(request: &mut JobRequest, limits: &Limits) -> Findings {
    let mut found = Findings::default();
    for rule in RULES {
        rule(request, limits, &mut found);
    }
    found
}
