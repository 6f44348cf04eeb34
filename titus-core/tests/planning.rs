//! Planning by example: rounds, echoes and refusals.

mod common;

use common::{JobMaker, NOW, Shape, host, host_id, job_id, plan_id, task_id};
use titus_core::change::Change;
use titus_core::rng::RngTree;
use titus_core::schedule::{Plan, PlanContext, Planner, StandardPlanner};
use titus_core::task::{TaskHot, TaskState};
use titus_core::view::ClusterView;

fn view(hosts: u64, jobs: &[JobMaker]) -> ClusterView {
    let mut view = ClusterView::new();
    (0..hosts).for_each(|number| view.apply(&host(number)));
    for job in jobs {
        view.apply(&job.change());
        job.tasks()
            .iter()
            .for_each(|task| view.apply(&Change::Task(*task)));
    }
    view
}

fn plan(view: &mut ClusterView, number: u64) -> Plan {
    let pending: Vec<_> = view.pending(|_| true, NOW).collect();
    let mut rng = RngTree::new(1).child("plan");
    let mut round = view.round(plan_id(number));
    let mut context = PlanContext {
        now: NOW,
        rng: &mut rng,
    };
    let plan = StandardPlanner::new().plan(&mut round, &pending, &mut context);
    round.keep();
    plan
}

fn launched(task: TaskHot, plan: &Plan) -> Change {
    let placement = plan.placements.iter().find(|p| p.task == task.id);
    let placement = placement.expect("the plan has placed it");
    Change::Task(TaskHot {
        state: TaskState::Launched,
        host: Some(placement.host),
        plan: Some(plan.id),
        version: task.version + 1,
        ..task
    })
}

#[test]
fn a_plan_is_assumed_until_its_echo_and_undone_when_refused() {
    let job = JobMaker {
        size: 3,
        ..JobMaker::new(1)
    };
    let mut view = view(1, &[job]);
    let plan = plan(&mut view, 1);
    assert_eq!(plan.placements.len(), 3);
    assert_eq!(view.in_flight(), 3);
    assert_eq!(view.pending(|_| true, NOW).count(), 0);
    assert_eq!(view.task(task_id(100_000)).unwrap().host, None);
    assert_eq!(view.free_on_host(host_id(0)).cpu_milli, 5_000);
    assert_eq!(view.used_on_host(host_id(0)).cpu_milli, 0);

    let task = view.task(task_id(100_000)).unwrap();
    view.apply(&launched(task, &plan));
    assert_eq!(view.in_flight(), 2);
    assert_eq!(view.used_on_host(host_id(0)).cpu_milli, 1_000);
    assert_eq!(view.free_on_host(host_id(0)).cpu_milli, 5_000);
    assert!(!view.undo(plan.id, task_id(100_000)), "its echo has come");

    assert!(view.undo(plan.id, task_id(100_001)));
    assert_eq!(view.free_on_host(host_id(0)).cpu_milli, 6_000);
    view.undo_plan(plan.id);
    assert_eq!(view.in_flight(), 0);
    assert_eq!(view.free_on_host(host_id(0)).cpu_milli, 7_000);
    assert_eq!(view.pending(|_| true, NOW).count(), 2);
    assert_eq!(view.job_counts(job_id(1)).of(TaskState::Launched), 1);
}

#[test]
fn what_does_not_fit_is_reported_host_by_host() {
    let shape = Shape {
        memory_mb: 99_999,
        ..Shape::default()
    };
    let mut view = view(
        7,
        &[JobMaker {
            shape,
            size: 2,
            ..JobMaker::new(1)
        }],
    );
    let plan = plan(&mut view, 1);
    assert_eq!(plan.placements, []);
    let shown: Vec<_> = plan.unplaced.iter().map(|task| task.report.to_string()).collect();
    let expected = "7 hosts seen: 7 refused for memoryMB (asks 99999, best has 16384)";
    assert_eq!(shown, [expected, expected]);
}
