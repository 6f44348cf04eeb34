//! A job is batch or service, never both.

use crate::spec::findings::Findings;
use crate::spec::limits::Limits;
use crate::spec::request::JobRequest;

pub(super) fn check(request: &mut JobRequest, _: &Limits, found: &mut Findings) {
    match (&request.batch, &request.service) {
        (Some(_), Some(_)) => found.refuse(
            "service",
            "the job is a batch job and a service job at once",
            "keep `batch` for tasks that end, or `service` for tasks that stay",
        ),
        (None, None) => found.refuse(
            "batch",
            "the job is neither a batch job nor a service job",
            "write  batch: { size: 1 }  for tasks that end, or  \
             service: { capacity: { min: 1, desired: 1, max: 1 } }  for tasks that stay",
        ),
        _ => {}
    }
}
