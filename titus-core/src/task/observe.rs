//! What happens to a task's record: placed, observed, killed, lost. Pure, through the one transition table.
//!
//! Each function answers `None` where nothing changes, so that a repeated or late message costs no write. A new record
//! has the next version; a task never moves backwards, and what was recorded first stays.

use std::collections::BTreeMap;

use super::{Exit, ReasonCode, StageTimes, TaskEvent, TaskHot, TaskState};
use crate::id::{HostId, PlanId, TaskId};
use crate::time::Timestamp;
use crate::wire::{HostReport, Phase, TaskReport};

/// A plan gave the task a host.
#[must_use]
pub fn place(task: &TaskHot, plan: PlanId, host: HostId, now: Timestamp) -> Option<TaskHot> {
    let mut next = entered(task, TaskEvent::Placed, ReasonCode::Normal)?;
    next.host = Some(host);
    next.plan = Some(plan);
    next.times.placed = Some(now);
    changed(task, next)
}

/// Its end is asked for: a task without a host is over at once, another is told to end. The first reason stays.
#[must_use]
pub fn kill(task: &TaskHot, reason: ReasonCode, now: Timestamp) -> Option<TaskHot> {
    if task.kill_reason.is_some() {
        return None;
    }
    let mut next = entered(task, TaskEvent::Kill, reason)?;
    next.kill_reason = Some(reason);
    next.times.killed = Some(now);
    if next.state == TaskState::Finished {
        next.times.finished = Some(now);
    }
    changed(task, next)
}

/// Its host or its container is gone for good. A task that was being killed ends with that reason.
#[must_use]
pub fn lost(task: &TaskHot, now: Timestamp) -> Option<TaskHot> {
    end_unseen(task, task.kill_reason.unwrap_or(ReasonCode::Lost), now)
}

/// Its host did not manage to end it in time, and is not waited for any longer.
#[must_use]
pub fn give_up_kill(task: &TaskHot, now: Timestamp) -> Option<TaskHot> {
    (task.state == TaskState::KillInitiated).then_some(())?;
    end_unseen(task, ReasonCode::StuckInKillingState, now)
}

fn end_unseen(task: &TaskHot, reason: ReasonCode, now: Timestamp) -> Option<TaskHot> {
    let mut next = entered(task, TaskEvent::Lost, reason)?;
    next.exit = task.times.started.map(|_| Exit::Unknown);
    next.times.finished = Some(now);
    changed(task, next)
}

/// What a host says about one of its tasks. Whether the task is that host's is for the caller to know.
///
/// Stage times that a host names are taken as lying between the task's placement and `now`, whatever its clock says.
#[must_use]
pub fn observe(task: &TaskHot, report: &TaskReport, now: Timestamp) -> Option<TaskHot> {
    let event = match report.phase {
        Phase::Ended => TaskEvent::Exited,
        Phase::Running | Phase::Stopping if report.times.started.is_some() => TaskEvent::Running,
        Phase::Running => TaskEvent::Running,
        Phase::Preparing | Phase::Stopping if report.times.preparing.is_some() => TaskEvent::Preparing,
        Phase::Preparing | Phase::Stopping => return None,
    };
    let reason = match event {
        TaskEvent::Exited => end_reason(task, report),
        _ => task.reason,
    };
    let mut next = entered(task, event, reason)?;
    next.address = task.address.or(report.address);
    next.times.fill_from(&told_times(task, report, now));
    if next.state == TaskState::Started {
        next.times.started = next.times.started.or(Some(now));
    }
    if next.state == TaskState::Finished {
        next.exit = report.exit;
        next.times.finished = next.times.finished.or(Some(now));
    }
    fill_skipped(&mut next.times);
    changed(task, next)
}

/// What a host's whole report says about the tasks that the store places on it: every record that changes.
///
/// A task that the report does not name is lost when the host should have named it: it acts on the newest directive,
/// or it has restarted (it has none) and had begun on the task before.
#[must_use]
pub fn observe_host<'a>(
    tasks: impl IntoIterator<Item = &'a TaskHot>,
    report: &HostReport,
    desired_generation: u64,
    now: Timestamp,
) -> Vec<TaskHot> {
    let told: BTreeMap<TaskId, &TaskReport> = report.tasks.iter().map(|t| (t.task, t)).collect();
    let up_to_date = report.generation >= desired_generation;
    tasks
        .into_iter()
        .filter(|task| task.host == Some(report.host()) && task.state.holds_host())
        .filter_map(|task| match told.get(&task.id) {
            Some(told) => observe(task, told, now),
            None if up_to_date || (report.generation == 0 && task.times.preparing.is_some()) => {
                lost(task, now)
            }
            None => None,
        })
        .collect()
}

/// The record after an event, its version not yet raised; `None` where the table has no row.
fn entered(task: &TaskHot, event: TaskEvent, reason: ReasonCode) -> Option<TaskHot> {
    let state = task.state.on(event).ok()?;
    Some(TaskHot {
        state,
        reason,
        ..*task
    })
}

fn changed(old: &TaskHot, mut new: TaskHot) -> Option<TaskHot> {
    if new == *old {
        return None;
    }
    new.version = old.version + 1;
    Some(new)
}

/// Why a task has ended. A kill explains every end that it may have brought about, and not a success before it came.
fn end_reason(task: &TaskHot, report: &TaskReport) -> ReasonCode {
    let by_itself = report.exit.is_some_and(Exit::is_success) && report.times.killed.is_none();
    if let (Some(kill), false) = (task.kill_reason, by_itself) {
        return kill;
    }
    match (report.reason, report.exit) {
        (Some(reason), _) => reason,
        (None, Some(Exit::Code(0))) => ReasonCode::Normal,
        (None, Some(Exit::Unknown) | None) => ReasonCode::Unknown,
        (None, Some(Exit::Code(_) | Exit::Signal(_) | Exit::OutOfMemory | Exit::ExecFailed(_))) => {
            ReasonCode::Failed
        }
    }
}

/// The stages that are the host's to tell.
fn told_times(task: &TaskHot, report: &TaskReport, now: Timestamp) -> StageTimes {
    let first = task.times.placed.unwrap_or(now).min(now);
    let told = |at: Option<Timestamp>| at.map(|at| at.clamp(first, now));
    StageTimes {
        preparing: told(report.times.preparing),
        image: told(report.times.image),
        network: told(report.times.network),
        started: told(report.times.started),
        healthy: told(report.times.healthy),
        finished: told(report.times.finished).filter(|_| report.phase == Phase::Ended),
        ..StageTimes::default()
    }
}

/// A task that started was prepared before, whether or not a report came in between.
fn fill_skipped(times: &mut StageTimes) {
    if times.started.is_some() {
        times.preparing = times.preparing.or(times.placed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::JobId;
    use crate::time::Millis;
    use crate::wire::MAX_MESSAGE;

    const T0: Timestamp = Timestamp::from_millis(1_000);

    fn at(ms: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(ms))
    }

    fn host(name: &str) -> HostId {
        HostId::new(name).unwrap()
    }

    fn waiting(n: u8) -> TaskHot {
        TaskHot::accepted(TaskId::from_bytes([n; 16]), JobId::from_bytes([9; 16]), 0, T0)
    }

    fn launched(n: u8) -> TaskHot {
        place(
            &waiting(n),
            PlanId::from_bytes([3; 16]),
            host("h1"),
            T0 + Millis(10),
        )
        .unwrap()
    }

    fn told(task: &TaskHot, phase: Phase) -> TaskReport {
        let started = matches!(phase, Phase::Running | Phase::Ended);
        TaskReport {
            task: task.id,
            phase,
            exit: (phase == Phase::Ended).then_some(Exit::Code(0)),
            reason: None,
            message: "m".repeat(MAX_MESSAGE),
            address: Some([10, 0, 0, 1].into()),
            times: StageTimes {
                preparing: at(1_020),
                started: started.then(|| at(1_030)).flatten(),
                finished: (phase == Phase::Ended).then(|| at(1_040)).flatten(),
                ..StageTimes::default()
            },
        }
    }

    fn started(n: u8) -> TaskHot {
        let task = launched(n);
        observe(&task, &told(&task, Phase::Running), T0 + Millis(100)).unwrap()
    }

    #[test]
    fn a_life_from_placement_to_end() {
        let placed = launched(1);
        assert_eq!((placed.state, placed.version), (TaskState::Launched, 2));
        assert_eq!((placed.host, placed.times.placed), (Some(host("h1")), at(1_010)));
        let now = T0 + Millis(100);
        let preparing = observe(&placed, &told(&placed, Phase::Preparing), now).unwrap();
        assert_eq!(
            (preparing.state, preparing.times.preparing),
            (TaskState::StartInitiated, at(1_020))
        );
        let running = observe(&preparing, &told(&preparing, Phase::Running), now).unwrap();
        assert_eq!(
            (running.state, running.times.started),
            (TaskState::Started, at(1_030))
        );
        assert_eq!(running.address, Some([10, 0, 0, 1].into()));
        let ended = observe(&running, &told(&running, Phase::Ended), now).unwrap();
        assert_eq!(
            (ended.state, ended.reason),
            (TaskState::Finished, ReasonCode::Normal)
        );
        assert_eq!(
            (ended.exit, ended.times.finished),
            (Some(Exit::Code(0)), at(1_040))
        );
        assert_eq!(ended.version, 5);
    }

    #[test]
    fn nothing_new_is_nothing_and_nothing_moves_back() {
        let running = started(1);
        let now = T0 + Millis(900);
        for phase in [Phase::Preparing, Phase::Running, Phase::Stopping] {
            assert_eq!(observe(&running, &told(&running, phase), now), None, "{phase:?}");
        }
        let ended = observe(&running, &told(&running, Phase::Ended), now).unwrap();
        for phase in [Phase::Preparing, Phase::Running, Phase::Stopping, Phase::Ended] {
            assert_eq!(observe(&ended, &told(&ended, phase), now), None, "{phase:?}");
        }
        assert_eq!(lost(&ended, now), None);
        assert_eq!(kill(&ended, ReasonCode::Killed, now), None);
        assert_eq!(
            place(&running, PlanId::from_bytes([4; 16]), host("h2"), now),
            None
        );
        let mut again = told(&running, Phase::Running);
        again.times.started = at(1_099);
        again.address = Some([10, 0, 0, 2].into());
        assert_eq!(
            observe(&running, &again, now),
            None,
            "what was recorded first stays"
        );
    }

    #[test]
    fn a_task_that_waits_on_its_host_is_not_yet_begun() {
        let task = launched(1);
        let mut report = told(&task, Phase::Preparing);
        report.times.preparing = None;
        assert_eq!(observe(&task, &report, T0 + Millis(50)), None);
        report.phase = Phase::Stopping;
        assert_eq!(observe(&task, &report, T0 + Millis(50)), None);
    }

    #[test]
    fn skipped_stages_are_filled() {
        let task = launched(1);
        let mut report = told(&task, Phase::Ended);
        report.times.preparing = None;
        let ended = observe(&task, &report, T0 + Millis(100)).unwrap();
        assert_eq!(ended.times.preparing, task.times.placed);
        assert_eq!(ended.times.started, at(1_030));
        report.times = StageTimes::default();
        report.phase = Phase::Running;
        let running = observe(&task, &report, T0 + Millis(100)).unwrap();
        assert_eq!(running.times.started, at(1_100));
    }

    #[test]
    fn a_hosts_wrong_clock_moves_no_stage_out_of_its_place() {
        let task = launched(1);
        let mut report = told(&task, Phase::Running);
        report.times.preparing = at(5);
        report.times.started = at(99_999_999);
        report.times.queued = at(1);
        let running = observe(&task, &report, T0 + Millis(100)).unwrap();
        assert_eq!(running.times.preparing, task.times.placed);
        assert_eq!(running.times.started, at(1_100));
        assert_eq!(running.times.queued, Some(T0));
    }

    #[test]
    fn exits_and_what_the_host_knows_become_reasons() {
        let running = started(1);
        let reason = |exit: Option<Exit>, known: Option<ReasonCode>| {
            let mut report = told(&running, Phase::Ended);
            report.exit = exit;
            report.reason = known;
            let ended = observe(&running, &report, T0 + Millis(100)).unwrap();
            assert_eq!(ended.exit, exit);
            ended.reason
        };
        assert_eq!(reason(Some(Exit::Code(0)), None), ReasonCode::Normal);
        assert_eq!(reason(Some(Exit::Code(1)), None), ReasonCode::Failed);
        assert_eq!(reason(Some(Exit::Signal(9)), None), ReasonCode::Failed);
        assert_eq!(reason(Some(Exit::OutOfMemory), None), ReasonCode::Failed);
        assert_eq!(
            reason(Some(Exit::ExecFailed(127)), Some(ReasonCode::Failed)),
            ReasonCode::Failed
        );
        assert_eq!(reason(Some(Exit::Unknown), None), ReasonCode::Unknown);
        assert_eq!(
            reason(None, Some(ReasonCode::InvalidRequest)),
            ReasonCode::InvalidRequest
        );
        assert_eq!(reason(None, None), ReasonCode::Unknown);
    }

    #[test]
    fn a_kill_explains_the_end_unless_the_task_had_succeeded_before() {
        let killed = kill(&started(1), ReasonCode::Evicted, T0 + Millis(200)).unwrap();
        assert_eq!(
            (killed.state, killed.reason),
            (TaskState::KillInitiated, ReasonCode::Evicted)
        );
        assert_eq!(killed.times.killed, at(1_200));
        assert_eq!(kill(&killed, ReasonCode::ScaledDown, T0 + Millis(300)), None);
        let end = |exit: Exit, told_to_end: bool| {
            let mut report = told(&killed, Phase::Ended);
            report.exit = Some(exit);
            report.times.killed = told_to_end.then(|| at(1_210)).flatten();
            observe(&killed, &report, T0 + Millis(300)).unwrap().reason
        };
        assert_eq!(end(Exit::Code(0), true), ReasonCode::Evicted);
        assert_eq!(end(Exit::Code(143), true), ReasonCode::Evicted);
        assert_eq!(end(Exit::Signal(15), false), ReasonCode::Evicted);
        assert_eq!(end(Exit::Code(0), false), ReasonCode::Normal);
        assert_eq!(
            lost(&killed, T0 + Millis(300)).unwrap().reason,
            ReasonCode::Evicted
        );
    }

    #[test]
    fn a_kill_of_a_waiting_task_is_its_end() {
        let ended = kill(&waiting(1), ReasonCode::ScaledDown, T0 + Millis(5)).unwrap();
        assert_eq!(
            (ended.state, ended.reason),
            (TaskState::Finished, ReasonCode::ScaledDown)
        );
        assert_eq!((ended.times.finished, ended.exit), (at(1_005), None));
    }

    #[test]
    fn a_lost_task_ends_with_an_exit_that_nobody_saw() {
        let ended = lost(&started(1), T0 + Millis(200)).unwrap();
        assert_eq!(
            (ended.reason, ended.exit),
            (ReasonCode::Lost, Some(Exit::Unknown))
        );
        assert_eq!(lost(&launched(1), T0 + Millis(200)).unwrap().exit, None);
        assert_eq!(lost(&waiting(1), T0), None);
    }

    #[test]
    fn only_a_kill_can_be_given_up() {
        assert_eq!(give_up_kill(&started(1), T0), None);
        let killed = kill(&started(1), ReasonCode::Killed, T0 + Millis(200)).unwrap();
        let ended = give_up_kill(&killed, T0 + Millis(300)).unwrap();
        assert_eq!(
            (ended.state, ended.reason),
            (TaskState::Finished, ReasonCode::StuckInKillingState)
        );
    }

    fn report_of(generation: u64, tasks: Vec<TaskReport>) -> HostReport {
        let spec = crate::host::HostSpec {
            id: host("h1"),
            capacity: crate::resources::Resources::ZERO,
            zone: String::new(),
            machine_type: String::new(),
            runtime: String::new(),
            datapath: String::new(),
            attributes: BTreeMap::new(),
        };
        HostReport {
            spec,
            generation,
            tasks,
        }
    }

    #[test]
    fn a_task_that_its_host_should_have_named_is_lost() {
        let (running, new) = (started(1), launched(2));
        let elsewhere = TaskHot {
            host: Some(host("h2")),
            ..started(3)
        };
        let waiting = waiting(4);
        let all = [running, new, elsewhere, waiting];
        let lost_with = |generation, named: &[&TaskHot]| -> Vec<u8> {
            let named = named.iter().map(|t| told(t, Phase::Running)).collect();
            let changed = observe_host(&all, &report_of(generation, named), 7, T0 + Millis(500));
            let finished = changed.iter().filter(|t| t.state == TaskState::Finished);
            finished.map(|t| t.id.to_bytes()[0]).collect()
        };
        assert_eq!(lost_with(7, &[&running, &new]), []);
        assert_eq!(lost_with(6, &[&running]), []);
        assert_eq!(lost_with(7, &[&running]), [2]);
        assert_eq!(lost_with(0, &[]), [1], "a restarted host that had begun on it");
        assert_eq!(lost_with(3, &[]), []);
    }

    #[test]
    fn a_host_speaks_for_its_own_tasks_alone() {
        let elsewhere = TaskHot {
            host: Some(host("h2")),
            ..started(3)
        };
        let report = report_of(7, vec![told(&elsewhere, Phase::Ended)]);
        assert_eq!(observe_host([&elsewhere], &report, 7, T0), []);
    }
}
