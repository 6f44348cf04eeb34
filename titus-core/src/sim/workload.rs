//! Jobs and what their programs do.

use crate::rng::Rng;
use crate::spec::{
    BackOffRetry, BatchRequest, Capacity, DelayedRetry, JobRequest, JobSpec, Limits, RetryRequest,
    ServiceRequest,
};
use crate::task::Exit;
use crate::time::Millis;

/// What a job's program does when it runs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Program {
    /// It does not exist: exec fails.
    pub(super) missing: bool,
    /// It ignores SIGTERM.
    pub(super) deaf: bool,
    /// How long it runs: from, and how much more at most; for ever when both are zero.
    runs: (u64, u64),
    /// How many of 1,000 runs fail.
    failing: u64,
}

impl Program {
    /// When and how a run of it ends by itself.
    pub(super) fn ends(&self, rng: &mut Rng) -> Option<(Millis, Exit)> {
        let (least, more) = self.runs;
        if least + more == 0 {
            return None;
        }
        let exit = match rng.chance(self.failing, 1_000) {
            false => Exit::Code(0),
            true if rng.chance(1, 4) => Exit::OutOfMemory,
            true if rng.chance(1, 4) => Exit::Signal(11),
            true => Exit::Code(1),
        };
        Some((Millis(least + rng.below(more + 1)), exit))
    }

    /// What remains of it once a run is quiet: services stay up.
    pub(super) const fn calmed(self, service: bool) -> Self {
        if service {
            Self { runs: (0, 0), ..self }
        } else {
            self
        }
    }
}

/// One job to submit.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) spec: JobSpec,
    pub(super) program: Program,
}

/// Draws a job; all tasks of all jobs fit into half a cell at 8 tasks a host.
pub(super) fn draw(number: u16, largest: u64, rng: &mut Rng) -> Submission {
    let mut request = JobRequest {
        application_name: format!("app{number}"),
        capacity_group: format!("group{}", rng.below(4)),
        ..JobRequest::default()
    };
    request.owner.team_email = "you@example.com".into();
    request.container.image.name = "busybox".into();
    request.container.image.tag = "1".into();
    request.container.resources.cpu = 0.1 * (1 + rng.below(10)) as f64;
    request.container.entry_point = vec!["work".into()];
    request.job_group_info.sequence = format!("v{number}");
    let size = u32::try_from(1 + rng.below(largest)).unwrap_or(1);
    let mut program = Program {
        deaf: rng.chance(1, 5),
        ..Program::default()
    };
    if rng.chance(1, 2) {
        program.runs = (rng.below(5_000), rng.below(60_000) + 1);
        program.failing = match rng.below(3) {
            0 => 0,
            1 => 100,
            _ => 1_000,
        };
        program.missing = rng.chance(1, 12);
        if rng.chance(1, 12) {
            request.container.image.tag = "missing".into();
        }
        request.batch = Some(batch(size, rng));
    } else {
        if rng.chance(1, 2) {
            program.runs = (rng.below(20_000), 600_000);
            program.failing = 700;
        }
        request.service = Some(service(size));
    }
    let (spec, _) = JobSpec::parse(request, &Limits::dev()).expect("the generator draws valid jobs only");
    Submission { spec, program }
}

fn batch(size: u32, rng: &mut Rng) -> BatchRequest {
    let retries = u32::try_from(rng.below(4)).unwrap_or(0);
    BatchRequest {
        size,
        runtime_limit_sec: 20 + rng.below(60),
        retry_policy: RetryRequest {
            delayed: Some(DelayedRetry {
                delay_ms: rng.below(5_000),
                retries,
            }),
            ..RetryRequest::default()
        },
        retry_on_runtime_limit: rng.chance(1, 4),
    }
}

fn service(size: u32) -> ServiceRequest {
    ServiceRequest {
        capacity: Capacity {
            min: 0,
            desired: size,
            max: size + 2,
        },
        retry_policy: RetryRequest {
            exponential_back_off: Some(BackOffRetry {
                initial_delay_ms: 1_000,
                max_delay_interval_ms: 30_000,
                retries: 0,
            }),
            ..RetryRequest::default()
        },
        ..ServiceRequest::default()
    }
}
