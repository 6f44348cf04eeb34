//! The view against a model: whatever comes, in whatever order, it says what a view made anew would say.

mod common;

use common::model::Model;
use common::ops::{HOSTS, Op, TASKS, dump, lasting_op, launched, op, plan};
use common::{NOW, host_id, plan_id, task_id};
use proptest::prelude::*;
use titus_core::change::Change;
use titus_core::id::TaskId;
use titus_core::schedule::Plan;
use titus_core::task::TaskState;
use titus_core::view::ClusterView;

fn replay(history: &[Op]) -> (ClusterView, Model) {
    let (mut view, mut model) = (ClusterView::new(), Model::default());
    for (at, op) in history.iter().enumerate() {
        let change = op.change(at as u64 + 1);
        view.apply(&change);
        model.apply(&change);
    }
    (view, model)
}

fn same(view: &ClusterView, model: &Model) -> Result<(), TestCaseError> {
    for number in 0..HOSTS {
        let id = host_id(number);
        prop_assert_eq!(view.used_on_host(id), model.held(id), "held on {}", id);
        prop_assert_eq!(view.free_on_host(id), model.free(id), "free on {}", id);
    }
    let pending: std::collections::BTreeSet<_> = view.pending(|_| true, NOW).map(|task| task.task).collect();
    prop_assert_eq!(pending, model.pending(NOW));
    for number in 0..TASKS {
        prop_assert_eq!(
            view.task(task_id(number)),
            model.tasks.get(&task_id(number)).copied()
        );
    }
    for job in model.jobs.values() {
        let mut of_job: Vec<_> = model
            .tasks
            .values()
            .filter(|task| task.job == job.id)
            .copied()
            .collect();
        of_job.sort_by_key(|task| (task.index, task.id));
        let counts = view.job_counts(job.id);
        let unfinished = of_job
            .iter()
            .filter(|task| task.state != TaskState::Finished)
            .count();
        prop_assert_eq!(counts.unfinished() as usize, unfinished);
        prop_assert_eq!(view.tasks_of_job(job.id).collect::<Vec<_>>(), of_job);
    }
    for state in TaskState::ALL {
        let count = model.tasks.values().filter(|task| task.state == state).count();
        prop_assert_eq!(view.counts().of(state) as usize, count);
    }
    Ok(())
}

/// Compares line by line, so that a failure shows the line.
fn same_text(a: &str, b: &str) -> Result<(), TestCaseError> {
    for (a, b) in a.lines().zip(b.lines()) {
        prop_assert_eq!(a, b);
    }
    prop_assert_eq!(a.lines().count(), b.lines().count());
    Ok(())
}

fn choices(plan: &Plan) -> String {
    let reports: Vec<_> = plan
        .unplaced
        .iter()
        .map(|task| (task.task, &task.report))
        .collect();
    format!("{:?} {reports:?}", plan.placements)
}

/// What may happen to a view beside changes.
#[derive(Debug, Clone)]
enum Step {
    Change(Op),
    /// A round that is kept.
    Plan,
    /// A round that is dropped.
    Dropped,
    /// The echo of a plan's placement, of those still assumed.
    Echo(prop::sample::Index),
    Undo(prop::sample::Index),
    UndoPlan(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => op().prop_map(Step::Change),
        2 => Just(Step::Plan),
        1 => Just(Step::Dropped),
        4 => index().prop_map(Step::Echo),
        2 => index().prop_map(Step::Undo),
        1 => index().prop_map(Step::UndoPlan),
    ]
}

struct World {
    view: ClusterView,
    model: Model,
    plans: Vec<Plan>,
    version: u64,
}

impl World {
    fn apply(&mut self, change: &Change) {
        self.view.apply(change);
        self.model.apply(change);
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.version += 1;
        match step {
            Step::Change(op) => self.apply(&op.change(self.version)),
            Step::Plan => {
                let plan = plan(&mut self.view, self.version, NOW);
                let placed = plan
                    .placements
                    .iter()
                    .map(|placement| (placement.task, placement.host));
                self.model.assumed.extend(placed);
                self.plans.push(plan);
            }
            Step::Dropped => {
                let before = dump(&self.view, NOW);
                let pending: Vec<_> = self.view.pending(|_| true, NOW).collect();
                let mut round = self.view.round(plan_id(self.version));
                for task in &pending {
                    for host in 0..HOSTS {
                        let _ = round.place(task.task, host_id(host));
                    }
                    if task.task.to_bytes()[15] % 3 == 0 {
                        round.undo(task.task);
                    }
                }
                drop(round);
                same_text(&dump(&self.view, NOW), &before)?;
            }
            Step::Echo(which) => {
                let Some((task, plan)) = self.assumed(which) else {
                    return Ok(());
                };
                let hot = self.model.tasks[&self.plans[plan].placements[task].task];
                if let Some(change) = launched(hot, &self.plans[plan], self.version) {
                    self.apply(&change);
                }
            }
            Step::Undo(which) => {
                let Some((task, plan)) = self.assumed(which) else {
                    return Ok(());
                };
                let task = self.plans[plan].placements[task].task;
                prop_assert!(self.view.undo(self.plans[plan].id, task));
                prop_assert!(!self.view.undo(self.plans[plan].id, task));
                self.model.assumed.remove(&task);
            }
            Step::UndoPlan(which) => {
                let Some((_, plan)) = self.assumed(which) else {
                    return Ok(());
                };
                let made = &self.plans[plan];
                let its = |task: &TaskId| self.last_plan(*task).is_some_and(|(_, last)| last == plan);
                let undone: Vec<_> = self.model.assumed.keys().copied().filter(its).collect();
                self.view.undo_plan(made.id);
                for task in &undone {
                    self.model.assumed.remove(task);
                }
            }
        }
        Ok(())
    }

    /// One of the placements that are assumed, by its position and its plan's.
    fn assumed(&self, which: &prop::sample::Index) -> Option<(usize, usize)> {
        let open: Vec<_> = self
            .model
            .assumed
            .keys()
            .filter_map(|task| self.last_plan(*task))
            .collect();
        (!open.is_empty()).then(|| open[which.index(open.len())])
    }

    /// The last plan that placed a task, and where in it.
    fn last_plan(&self, task: TaskId) -> Option<(usize, usize)> {
        let plans = self.plans.iter().enumerate().rev();
        let place = |plan: &Plan| {
            plan.placements
                .iter()
                .position(|placement| placement.task == task)
        };
        plans
            .into_iter()
            .find_map(|(number, plan)| Some((place(plan)?, number)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn a_view_says_what_one_made_anew_would_say(history in prop::collection::vec(op(), 0..150)) {
        let (mut view, model) = replay(&history);
        same(&view, &model)?;
        let mut anew = model.view();
        same_text(&dump(&view, NOW), &dump(&anew, NOW))?;
        prop_assert_eq!(choices(&plan(&mut view, 1, NOW)), choices(&plan(&mut anew, 1, NOW)));
    }

    #[test]
    fn order_and_repetition_do_not_matter(
        (history, shuffled) in prop::collection::vec(lasting_op(), 0..80).prop_flat_map(|history| {
            let numbered: Vec<_> = history.iter().cloned().enumerate().collect();
            let twice: Vec<_> = numbered.iter().chain(&numbered).cloned().collect();
            (Just(history), Just(twice).prop_shuffle())
        })
    ) {
        let (_, model) = replay(&history);
        let mut view = ClusterView::new();
        for (at, op) in &shuffled {
            view.apply(&op.change(*at as u64 + 1));
        }
        same(&view, &model)?;
        let mut anew = model.view();
        same_text(&dump(&view, NOW), &dump(&anew, NOW))?;
        prop_assert_eq!(choices(&plan(&mut view, 1, NOW)), choices(&plan(&mut anew, 1, NOW)));
    }

    #[test]
    fn applying_again_changes_nothing(history in prop::collection::vec(op(), 0..80)) {
        let mut view = ClusterView::new();
        for (at, op) in history.iter().enumerate() {
            let change = op.change(at as u64 + 1);
            view.apply(&change);
            let once = dump(&view, NOW);
            view.apply(&change);
            same_text(&dump(&view, NOW), &once)?;
        }
    }

    #[test]
    fn rounds_echoes_and_refusals_keep_the_books(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World { view: ClusterView::new(), model: Model::default(), plans: Vec::new(), version: 0 };
        for step in &steps {
            world.step(step)?;
            prop_assert_eq!(world.view.in_flight(), world.model.assumed.len());
            same(&world.view, &world.model)?;
        }
        let plans = std::mem::take(&mut world.plans);
        plans.iter().for_each(|plan| world.view.undo_plan(plan.id));
        let anew = world.model.view();
        same_text(&dump(&world.view, NOW), &dump(&anew, NOW))?;
    }
}

#[test]
fn what_waits_and_until_when_is_known() {
    let mut view = ClusterView::new();
    let job = Op::Job {
        number: 1,
        shape: common::Shape::default(),
        hard: None,
        soft: None,
        group: 0,
        state: titus_core::job::JobState::Accepted,
    };
    view.apply(&job.change(1));
    for (number, wait) in [(1, 0), (2, 1), (3, 5), (4, 9)] {
        let task = Op::Task {
            number,
            job: 1,
            index: 0,
            state: TaskState::Accepted,
            host: 0,
            wait,
        };
        view.apply(&task.change(2));
    }
    let waiting = |at: u64| view.pending(|_| true, NOW + titus_core::time::Millis(at)).count();
    assert_eq!([waiting(0), waiting(3), waiting(4), waiting(8)], [2, 2, 3, 4]);
    let next = view.next_ready(|_| true, NOW).map(|at| at.since(NOW).0);
    assert_eq!(next, Some(4));
    assert_eq!(view.pending(|_| false, NOW).count(), 0);
}
