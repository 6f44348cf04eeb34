//! The planner against a model that rates every host anew for every task.

mod common;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use common::model::{Extra, Model};
use common::ops::{HOSTS, Op, host_op, job_op, lasting_op, task_op};
use common::{JobMaker, NOW, Shape, host_id, job_id, plan_id};
use proptest::prelude::*;
use titus_core::change::Change;
use titus_core::host::HostRecord;
use titus_core::id::{HostId, JobId};
use titus_core::rng::RngTree;
use titus_core::schedule::{
    Ask, Candidate, Filter, Fitness, PendingTask, PlacementReport, Plan, PlanContext, Planner, Reads, Reject,
    Score, StandardPlanner, Weights, next_tasks,
};
use titus_core::time::{Millis, Timestamp};
use titus_core::view::ClusterView;

/// Refuses every third host to odd jobs.
#[derive(Debug)]
struct Thirds;

impl Filter for Thirds {
    fn name(&self) -> &'static str {
        "thirds"
    }

    fn reads(&self, ask: &Ask<'_>) -> Option<Reads> {
        odd(ask.job().id).then_some(Reads::Host)
    }

    fn check(&self, ask: &Ask<'_>, host: &Candidate<'_>) -> Result<(), Reject> {
        let refused = extra(ask.job().id, host.record()).is_none();
        if refused {
            Err(Reject::because("third"))
        } else {
            Ok(())
        }
    }
}

/// Prefers some hosts for no reason, and one machine type.
#[derive(Debug)]
struct Whim(Reads);

impl Score for Whim {
    fn reads(&self, _: &Ask<'_>) -> Option<Reads> {
        Some(self.0)
    }

    fn most(&self, _: &Ask<'_>) -> Fitness {
        Fitness(5 << 20)
    }

    fn score(&self, _: &Ask<'_>, host: &Candidate<'_>) -> Fitness {
        match self.0 {
            Reads::Host => Fitness(whim_of_host(host.record())),
            _ => Fitness(whim_of_class(host.record())),
        }
    }
}

fn odd(job: JobId) -> bool {
    job.to_bytes()[15] % 2 == 1
}

fn number(host: HostId) -> u32 {
    host.as_str()
        .trim_start_matches("host-")
        .parse()
        .expect("a number")
}

fn whim_of_host(host: &HostRecord) -> u32 {
    (number(host.spec.id) * 7 % 5) << 20
}

fn whim_of_class(host: &HostRecord) -> u32 {
    u32::from(host.spec.machine_type == "type-1") << 20
}

fn extra(job: JobId, host: &HostRecord) -> Option<u64> {
    let refused = odd(job) && number(host.spec.id).is_multiple_of(3);
    (!refused).then(|| u64::from(whim_of_host(host) + whim_of_class(host)))
}

fn run(planner: &mut StandardPlanner, view: &mut ClusterView, pending: &[PendingTask], plan: u64) -> Plan {
    let mut rng = RngTree::new(1).child("plan");
    let mut round = view.round(plan_id(plan));
    let plan = planner.plan(
        &mut round,
        pending,
        &mut PlanContext {
            now: NOW,
            rng: &mut rng,
        },
    );
    round.keep();
    plan
}

fn world(history: &[Op]) -> Model {
    let mut model = Model::default();
    for (at, op) in history.iter().enumerate() {
        model.apply(&op.change(at as u64 + 1));
    }
    model
}

/// Holds each decision of a plan against the model, which is left with the plan's placements assumed.
fn hold(
    model: &mut Model,
    pending: &[PendingTask],
    plan: &Plan,
    extra: Extra<'_>,
) -> Result<(), TestCaseError> {
    let chosen: BTreeMap<_, _> = plan.placements.iter().map(|p| (p.task, p)).collect();
    let unplaced: BTreeMap<_, _> = plan.unplaced.iter().map(|u| (u.task, &u.report)).collect();
    prop_assert_eq!(
        chosen.len() + unplaced.len(),
        pending.len(),
        "each task is decided once"
    );
    let mut seen: Vec<&Arc<PlacementReport>> = Vec::new();
    let mut run = None;
    for task in pending {
        let job = task.job.id;
        let scarce = *match &run {
            Some((of, scarce)) if *of == job => scarce,
            _ => &run.insert((job, model.scarce())).1,
        };
        let best = model.best(job, scarce, extra);
        prop_assert_eq!(
            chosen.get(&task.task).map(|p| p.host),
            best,
            "for {} of {}",
            task.task,
            job
        );
        if let Some(placement) = chosen.get(&task.task) {
            prop_assert_eq!(placement.resources, model.shape(job));
            prop_assert_eq!(
                placement.host_generation,
                model.hosts[&placement.host].desired.generation
            );
            model.assumed.insert(task.task, placement.host);
        }
        if let Some(report) = unplaced.get(&task.task)
            && !seen.iter().any(|other| Arc::ptr_eq(other, report))
        {
            seen.push(report);
            check_report(model, job, report, extra)?;
        }
    }
    for placement in &plan.placements {
        let host = &model.hosts[&placement.host];
        let taken = host.spec.capacity.checked_sub(&model.free(placement.host));
        prop_assert!(taken.is_some_and(|taken| host.spec.capacity.fits(&taken)));
    }
    Ok(())
}

fn check_report(
    model: &Model,
    job: JobId,
    report: &PlacementReport,
    extra: Extra<'_>,
) -> Result<(), TestCaseError> {
    let mut expected = BTreeMap::<&str, u64>::new();
    for host in model.hosts.values() {
        let refused = match model.refusal(job, host.spec.id) {
            Some("resources") | None if extra(job, host).is_none() => Some("thirds"),
            refused => refused,
        };
        *expected.entry(refused.unwrap_or("nothing")).or_default() += 1;
    }
    let mut found = BTreeMap::<&str, u64>::new();
    for rejection in &report.rejections {
        *found.entry(&rejection.filter).or_default() += rejection.hosts;
        if let (Some(asked), Some(best)) = (rejection.asked, rejection.best) {
            prop_assert!(best < asked);
        }
    }
    prop_assert_eq!(found.values().sum::<u64>(), model.hosts.len() as u64);
    prop_assert_eq!(report.hosts, model.hosts.len() as u64);
    prop_assert_eq!(found, expected);
    Ok(())
}

/// Hosts and jobs first, so that most tasks have both.
fn populated() -> impl Strategy<Value = Vec<Op>> {
    let first = (
        prop::collection::vec(host_op(), 3..14),
        prop::collection::vec(job_op(), 3..12),
    );
    (first, prop::collection::vec(task_op(), 0..60))
        .prop_map(|((hosts, jobs), tasks)| hosts.into_iter().chain(jobs).chain(tasks).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn each_task_gets_the_best_host_or_every_reason(history in populated()) {
        let mut model = world(&history);
        let mut view = model.view();
        let pending: Vec<_> = view.pending(|_| true, NOW).collect();
        let plan = run(&mut StandardPlanner::new(), &mut view, &pending, 1);
        hold(&mut model, &pending, &plan, &|_, _| Some(0))?;
        for host in 0..HOSTS {
            prop_assert_eq!(view.free_on_host(host_id(host)), model.free(host_id(host)));
        }
    }

    #[test]
    fn further_filters_and_scores_are_kept_too(history in populated()) {
        let mut model = world(&history);
        let mut view = model.view();
        let pending: Vec<_> = view.pending(|_| true, NOW).collect();
        let mut planner = StandardPlanner::new()
            .with_filter(Box::new(Thirds))
            .with_score(Box::new(Whim(Reads::Class)))
            .with_score(Box::new(Whim(Reads::Host)));
        let plan = run(&mut planner, &mut view, &pending, 1);
        hold(&mut model, &pending, &plan, &extra)?;
    }

    #[test]
    fn rounds_after_rounds_with_one_planner_are_as_good(
        history in populated(),
        later in prop::collection::vec(prop::collection::vec(lasting_op(), 0..12), 1..4),
    ) {
        let mut model = world(&history);
        let mut view = model.view();
        let mut planner = StandardPlanner::new();
        let mut at = history.len() as u64;
        for (plan, ops) in later.iter().enumerate() {
            let pending: Vec<_> = view.pending(|_| true, NOW).collect();
            let plan = run(&mut planner, &mut view, &pending, plan as u64 + 1);
            hold(&mut model, &pending, &plan, &|_, _| Some(0))?;
            for op in ops {
                at += 1;
                let change = op.change(at);
                view.apply(&change);
                model.apply(&change);
            }
        }
    }

    #[test]
    fn a_job_that_spreads_stays_level_while_there_is_room(sizes in prop::collection::vec(1..12u32, 1..5)) {
        let mut view = ClusterView::new();
        (0..30).for_each(|number| view.apply(&common::host(number)));
        for (number, size) in sizes.iter().enumerate() {
            let soft = vec![("zoneBalance", "true".to_owned())];
            let job = JobMaker { size: *size, soft, ..JobMaker::new(number as u64) };
            view.apply(&job.change());
            job.tasks().iter().for_each(|task| view.apply(&Change::Task(*task)));
        }
        let pending: Vec<_> = view.pending(|_| true, NOW).collect();
        let plan = run(&mut StandardPlanner::new(), &mut view, &pending, 1);
        prop_assert_eq!(plan.unplaced.len(), 0);
        for number in 0..sizes.len() {
            let mut zones = [0; 3];
            let of_job = plan.placements.iter().filter(|p| p.job == job_id(number as u64));
            of_job.for_each(|p| zones[number_in(p.host)] += 1);
            let (most, fewest) = (zones.iter().max(), zones.iter().min());
            prop_assert!(most.zip(fewest).is_some_and(|(most, fewest)| most - fewest <= 1), "{:?}", zones);
        }
    }

    #[test]
    fn a_queue_serves_the_oldest_of_the_group_that_has_least(
        jobs in prop::collection::vec((0..3usize, 1..6u32, 0..5u64), 1..12),
        weights in prop::array::uniform3(1..5u32),
        limit in 0..40usize,
    ) {
        const GROUPS: [&str; 3] = ["gold", "silver", "iron"];
        let mut view = ClusterView::new();
        (0..9).for_each(|number| view.apply(&common::host(number)));
        for (number, (group, size, age)) in jobs.iter().enumerate() {
            let job = JobMaker {
                size: *size,
                group: GROUPS[*group],
                created: NOW + Millis(*age),
                ..JobMaker::new(number as u64)
            };
            view.apply(&job.change());
            job.tasks().iter().for_each(|task| view.apply(&Change::Task(*task)));
        }
        let set = |set: Weights, at: usize| set.with(GROUPS[at], NonZeroU32::new(weights[at]).expect("above 0"));
        let shares = (0..3).fold(Weights::default(), set);
        let now = NOW + Millis(3);
        let next = next_tasks(&view, |_| true, &shares, now, limit);
        let due: usize = view.pending(|_| true, now).count();
        prop_assert_eq!(next.len(), due.min(limit));
        let group = |task: &PendingTask| {
            let name = task.job.spec.capacity_group();
            GROUPS.iter().position(|group| *group == name).expect("one of the three")
        };
        let mut served = [0; 3];
        let mut last = [Timestamp::EPOCH; 3];
        let waits = |at: usize| view.pending(|_| true, now).filter(|task| group(task) == at).count();
        for task in &next {
            let at = group(task);
            prop_assert!(last[at] <= task.since, "the oldest first");
            last[at] = task.since;
            // All tasks are of one size, so that counts stand for shares.
            let others = (0..3).filter(|other| served[*other] < waits(*other));
            for other in others {
                let fair = served[at] * weights[other] as usize <= served[other] * weights[at] as usize;
                prop_assert!(fair, "{} before {}: {:?}", at, other, served);
            }
            served[at] += 1;
        }
    }
}

fn number_in(host: HostId) -> usize {
    number(host) as usize % 3
}

#[test]
fn a_job_that_fits_nowhere_is_not_asked_about_again() {
    let mut view = ClusterView::new();
    (0..3).for_each(|number| view.apply(&common::host(number)));
    let shape = Shape {
        gpu: 1,
        ..Shape::default()
    };
    for number in 0..2 {
        let job = JobMaker {
            shape,
            size: 5,
            ..JobMaker::new(number)
        };
        view.apply(&job.change());
        job.tasks()
            .iter()
            .for_each(|task| view.apply(&Change::Task(*task)));
    }
    let pending: Vec<_> = view.pending(|_| true, NOW).collect();
    let plan = run(&mut StandardPlanner::new(), &mut view, &pending, 1);
    assert_eq!(plan.unplaced.len(), 10);
    let first = &plan.unplaced[0].report;
    assert!(
        plan.unplaced.iter().all(|task| Arc::ptr_eq(&task.report, first)),
        "one report for equal asks"
    );
    assert_eq!(
        first.to_string(),
        "3 hosts seen: 3 refused for gpu (asks 1, best has 0)"
    );
}
