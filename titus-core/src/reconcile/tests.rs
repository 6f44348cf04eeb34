use super::testing::{T0, batch, finished, host, id, launched, rng, service, started, waiting};
use super::*;
use crate::host::HostHealth;
use crate::id::HostId;
use crate::job::{JobRecord, JobState};
use crate::task::{self, ReasonCode, TaskHot, TaskState};
use crate::time::{Millis, Timestamp};
use crate::wire::Wanted;

fn run(job: &JobRecord, tasks: &[TaskHot], now: Timestamp, limits: &Limits) -> Reconciled {
    reconcile(job, tasks, &|_| None, now, limits, &mut rng())
}

fn actions(job: &JobRecord, tasks: &[TaskHot], now: Timestamp) -> Vec<Action> {
    run(job, tasks, now, &Limits::default()).actions
}

fn created(actions: &[Action]) -> Vec<&TaskHot> {
    actions
        .iter()
        .filter_map(|a| match a {
            Action::Create(task) => Some(&**task),
            _ => None,
        })
        .collect()
}

fn killed(actions: &[Action]) -> Vec<(u8, ReasonCode)> {
    actions
        .iter()
        .filter_map(|a| match a {
            Action::Kill { task, reason } => Some((task.to_bytes()[0], *reason)),
            _ => None,
        })
        .collect()
}

fn ending(mut job: JobRecord) -> JobRecord {
    job.enter(JobState::KillInitiated, ReasonCode::Killed, "asked for", T0);
    job
}

fn kill(task: &TaskHot, now: Timestamp) -> TaskHot {
    task::kill(task, ReasonCode::Killed, now).unwrap()
}

#[test]
fn a_batch_job_gets_one_task_a_slot() {
    let job = batch(3, 0);
    let found = actions(&job, &[started(&job, 1, 1)], T0);
    let slots: Vec<u32> = created(&found).iter().map(|t| t.index).collect();
    assert_eq!(slots, [0, 2]);
    let new = created(&found)[0];
    assert_eq!(
        (new.state, new.original, new.resubmit_of),
        (TaskState::Accepted, new.id, None)
    );
    assert_eq!(
        (new.job, new.not_before, new.times.queued),
        (job.id, None, Some(T0))
    );
    assert_eq!(new.id.shard(), Some(job.spec.shard()));
}

#[test]
fn a_call_creates_no_more_than_fits_a_transaction_and_asks_to_be_called_again() {
    let job = batch(5, 0);
    let limits = Limits {
        creates: 2,
        ..Limits::default()
    };
    let first = run(&job, &[], T0, &limits);
    assert_eq!(created(&first.actions).len(), 2);
    assert_eq!(first.wake, Some(T0));
    let limits = Limits { creates: 5, ..limits };
    assert_eq!(run(&job, &[], T0, &limits).wake, None);
}

#[test]
fn a_replacement_keeps_its_slot_and_counts_its_attempts() {
    let job = batch(1, 2);
    let now = T0 + Millis(70);
    let old = finished(&job, 0, ReasonCode::Failed, now);
    let found = actions(&job, &[old], now);
    let new = created(&found)[0];
    assert_eq!(
        (new.index, new.original, new.resubmit_of),
        (0, old.original, Some(old.id))
    );
    assert_eq!((new.attempts.resubmits, new.attempts.charged()), (1, 1));
    assert!(new.not_before >= Some(now + Millis(2_000)));
    assert_eq!(found.len(), 1);

    let second = TaskHot {
        id: id(50),
        resubmit_of: Some(old.id),
        attempts: new.attempts,
        ..finished(&job, 0, ReasonCode::Failed, now)
    };
    let second = TaskHot {
        original: old.original,
        ..second
    };
    let found = actions(&job, &[second, old], now);
    assert_eq!(
        created(&found)[0].resubmit_of,
        Some(id(50)),
        "the newest of the slot is replaced"
    );
    assert_eq!(created(&found)[0].attempts.resubmits, 2);
    assert_eq!(created(&found)[0].original, old.original);
}

#[test]
fn a_slot_with_a_live_task_is_left_alone_whatever_came_before() {
    let job = batch(1, 9);
    let old = TaskHot {
        id: id(200),
        ..finished(&job, 0, ReasonCode::Failed, T0)
    };
    assert_eq!(actions(&job, &[started(&job, 0, 1), old], T0), []);
    assert_eq!(actions(&job, &[old, started(&job, 0, 1)], T0), []);
}

#[test]
fn a_batch_job_is_over_when_every_slot_has_its_result() {
    let job = batch(2, 0);
    let one = finished(&job, 0, ReasonCode::Normal, T0);
    assert_eq!(actions(&job, &[one, started(&job, 1, 1)], T0), []);
    let two = finished(&job, 1, ReasonCode::Failed, T0);
    assert_eq!(
        actions(&job, &[one, two], T0),
        [Action::FinishJob {
            reason: ReasonCode::Normal,
            message: "1 of 2 tasks failed".into()
        }]
    );
}

#[test]
fn a_job_that_ends_kills_its_tasks_and_then_itself() {
    let job = ending(batch(3, 5));
    let tasks = [
        waiting(&job, 0),
        started(&job, 1, 1),
        kill(&started(&job, 2, 1), T0),
    ];
    let found = actions(&job, &tasks, T0);
    assert_eq!(killed(&found), [(0, ReasonCode::Killed), (1, ReasonCode::Killed)]);
    assert_eq!(found.len(), 2);
    let over = [
        finished(&job, 0, ReasonCode::Killed, T0),
        finished(&job, 1, ReasonCode::Failed, T0),
    ];
    assert_eq!(
        actions(&job, &over, T0),
        [Action::FinishJob {
            reason: ReasonCode::Killed,
            message: "asked for".into()
        }]
    );
    let waiting_only = actions(&job, &[waiting(&job, 0)], T0);
    assert_eq!(
        waiting_only.len(),
        2,
        "a task without a host is over at once, and so is its job"
    );
    let limits = Limits {
        kills: 1,
        ..Limits::default()
    };
    let cut = run(&job, &tasks, T0, &limits);
    assert_eq!((cut.actions.len(), cut.wake), (1, Some(T0)));
}

#[test]
fn a_finished_job_is_left_alone() {
    let mut job = ending(service(3));
    job.enter(JobState::Finished, ReasonCode::Killed, "", T0);
    assert_eq!(
        run(&job, &[started(&job, 0, 1)], T0, &Limits::default()),
        Reconciled::default()
    );
}

#[test]
fn a_service_grows_into_free_slots_and_replaces_first() {
    let job = service(3);
    let lost = TaskHot {
        index: 1,
        ..finished(&job, 1, ReasonCode::Lost, T0)
    };
    let left = TaskHot {
        kill_reason: Some(ReasonCode::ScaledDown),
        ..finished(&job, 2, ReasonCode::ScaledDown, T0)
    };
    let found = actions(&job, &[started(&job, 0, 1), lost, left], T0);
    let made: Vec<(u32, Option<u8>)> = created(&found)
        .iter()
        .map(|t| (t.index, t.resubmit_of.map(|id| id.to_bytes()[0])))
        .collect();
    assert_eq!(made, [(1, Some(1)), (2, None)]);
}

#[test]
fn a_service_replaces_a_task_only_once_it_has_ended() {
    let job = service(2);
    let tasks = [started(&job, 0, 1), kill(&started(&job, 1, 1), T0)];
    assert_eq!(actions(&job, &tasks, T0), []);
    let ended = finished(&job, 1, ReasonCode::Killed, T0);
    assert_eq!(created(&actions(&job, &[tasks[0], ended], T0)).len(), 1);
}

#[test]
fn a_shrink_and_a_kill_at_once_do_not_remove_twice() {
    let job = service(2);
    let tasks = [
        started(&job, 0, 1),
        started(&job, 1, 1),
        kill(&started(&job, 2, 1), T0),
    ];
    assert_eq!(actions(&job, &tasks, T0), []);
    let tasks = [
        started(&job, 0, 1),
        started(&job, 1, 1),
        started(&job, 2, 1),
        kill(&started(&job, 3, 1), T0),
    ];
    assert_eq!(killed(&actions(&job, &tasks, T0)).len(), 1);
}

#[test]
fn a_smaller_service_loses_the_waiting_then_the_launching_then_the_crowded() {
    let job = service(0);
    let mut old = started(&job, 5, 2);
    old.times.queued = Some(T0 - Millis(500));
    let tasks = [
        started(&job, 1, 1),
        started(&job, 2, 1),
        started(&job, 3, 2),
        launched(&job, 4, 3),
        old,
        waiting(&job, 6),
        started(&job, 7, 1),
    ];
    let order: Vec<u8> = killed(&actions(&job, &tasks, T0))
        .iter()
        .map(|(n, _)| *n)
        .collect();
    assert_eq!(order, [6, 4, 1, 5, 2, 3, 7]);
    let three = service(6);
    assert_eq!(
        killed(&actions(&three, &tasks, T0)),
        [(6, ReasonCode::ScaledDown)]
    );
}

#[test]
fn the_fullest_zone_is_thinned_out_first() {
    let job = service(3);
    let tasks: Vec<TaskHot> = (1..=7).map(|n| started(&job, n, n)).collect();
    let zone_of = |host: HostId| Some(if host.as_str() < "h5" { "a" } else { "b" });
    let found = reconcile(&job, &tasks, &zone_of, T0, &Limits::default(), &mut rng());
    let victims: Vec<u8> = killed(&found.actions).iter().map(|(n, _)| *n).collect();
    assert_eq!(victims, [1, 2, 5, 3], "from 4 and 3 a zone to 1 and 2");
}

#[test]
fn a_task_that_runs_too_long_is_killed_and_the_time_until_then_is_known() {
    let job = batch(1, 0);
    let task = started(&job, 0, 1);
    let found = run(&job, &[task], T0 + Millis(599_999), &Limits::default());
    assert_eq!((found.actions, found.wake), (vec![], Some(T0 + Millis(600_000))));
    let found = actions(&job, &[task], T0 + Millis(600_000));
    assert_eq!(killed(&found), [(0, ReasonCode::RuntimeLimitExceeded)]);
    let job = service(1);
    assert_eq!(
        run(
            &job,
            &[started(&job, 0, 1)],
            T0 + Millis::from_secs(9_999),
            &Limits::default()
        ),
        Reconciled::default()
    );
}

#[test]
fn stuck_tasks_are_killed_within_the_budget() {
    let service = service(2);
    let batch = batch(2, 0);
    let mut preparing = launched(&service, 0, 1);
    preparing.state = TaskState::StartInitiated;
    preparing.times.preparing = Some(T0);
    let after = |secs| T0 + Millis::from_secs(secs);
    let both = [preparing, launched(&service, 1, 1)];
    assert_eq!(
        run(&service, &both, after(299), &Limits::default()).wake,
        Some(after(300))
    );
    let found = run(&service, &both, after(300), &Limits::default());
    assert_eq!(killed(&found.actions), [(0, ReasonCode::StuckInState)]);
    assert_eq!(found.wake, Some(after(301)));
    assert_eq!(
        killed(&actions(
            &batch,
            &[
                TaskHot {
                    job: batch.id,
                    ..preparing
                },
                started(&batch, 1, 1)
            ],
            after(400)
        )),
        []
    );
    let none = run(
        &service,
        &both,
        after(300),
        &Limits {
            stuck: 0,
            ..Limits::default()
        },
    );
    assert_eq!((none.actions, none.wake), (vec![], Some(after(301))));
}

#[test]
fn a_kill_that_does_not_end_is_given_up_in_the_end() {
    for job in [service(1), ending(service(1))] {
        let task = kill(&started(&job, 0, 1), T0);
        assert_eq!(
            run(&job, &[task], T0, &Limits::default()).wake,
            Some(T0 + Millis::from_secs(1_200))
        );
        let found = actions(&job, &[task], T0 + Millis::from_secs(1_200));
        assert_eq!(found[0], Action::GiveUpKill { task: task.id });
        assert_eq!(
            found.len(),
            2,
            "then a replacement, or the end of the job: {found:?}"
        );
    }
}

#[test]
fn replaced_tasks_are_archived_beyond_the_retention_and_results_never() {
    let job = batch(1, 9);
    let old = |n: u8, at: u64| TaskHot {
        index: 0,
        ..finished(&job, n, ReasonCode::Failed, T0 + Millis(at))
    };
    let live = TaskHot {
        index: 0,
        ..started(&job, 99, 1)
    };
    let tasks = [old(1, 30), live, old(2, 10), old(3, 20)];
    let limits = Limits {
        keep_finished: 2,
        ..Limits::default()
    };
    let found = run(&job, &tasks, T0 + Millis(50), &limits);
    assert_eq!(found.actions, [Action::Archive { task: id(2) }]);
    let week = limits.keep_finished_for;
    let over = actions(&batch(1, 0), &[tasks[0]], T0 + week + week);
    assert!(matches!(over[..], [Action::FinishJob { .. }]), "{over:?}");
    let mut runs_on = live;
    runs_on.state = TaskState::Launched;
    let roomy = Limits {
        launched: Millis(u64::MAX),
        ..Limits::default()
    };
    let found = run(&job, &[runs_on, old(1, 30)], T0, &roomy);
    assert_eq!(found.wake, Some(T0 + Millis(30) + week));
    let found = run(&job, &[runs_on, old(1, 30)], T0 + Millis(30) + week, &roomy);
    assert_eq!(found.actions, [Action::Archive { task: id(1) }]);
}

#[test]
fn a_service_archives_no_task_that_still_has_to_be_replaced() {
    let limits = Limits {
        keep_finished: 0,
        creates: 1,
        ..Limits::default()
    };
    let job = service(2);
    let tasks = [
        finished(&job, 0, ReasonCode::Failed, T0),
        finished(&job, 1, ReasonCode::Failed, T0),
    ];
    let found = run(&job, &tasks, T0, &limits);
    assert_eq!(created(&found.actions).len(), 1);
    let archived: Vec<&Action> = found
        .actions
        .iter()
        .filter(|a| matches!(a, Action::Archive { .. }))
        .collect();
    assert_eq!(archived, [&Action::Archive { task: id(0) }]);
}

fn heard(n: u8, health: HostHealth, secs: u64) -> Heard {
    Heard {
        host: host(n),
        health,
        unchanged: Millis::from_secs(secs),
    }
}

fn cell(hosts: u8, silent: u8, secs: u64) -> Vec<Heard> {
    (0..hosts)
        .map(|n| heard(n, HostHealth::Ready, if n < silent { secs } else { 1 }))
        .collect()
}

fn lost_of(hosts: u8, silent: u8) -> (usize, usize) {
    let expiry = expire(&cell(hosts, silent, 90), &ExpiryLimits::default());
    let lost = expiry.changes.iter().filter(|(_, h)| *h == HostHealth::Lost);
    (lost.count(), expiry.held.len())
}

#[test]
fn a_host_falls_silent_then_is_lost_and_comes_back() {
    let limits = ExpiryLimits::default();
    let change = |health, secs| {
        let hosts = [heard(1, health, secs), heard(2, HostHealth::Ready, 0)];
        expire(&hosts, &limits).changes
    };
    assert_eq!(change(HostHealth::Ready, 29), []);
    assert_eq!(change(HostHealth::Ready, 30), [(host(1), HostHealth::Silent)]);
    assert_eq!(change(HostHealth::Silent, 89), []);
    assert_eq!(change(HostHealth::Silent, 90), [(host(1), HostHealth::Lost)]);
    assert_eq!(change(HostHealth::Lost, 200), []);
    assert_eq!(
        change(HostHealth::Lost, 40),
        [],
        "a new owner's clock revives nobody"
    );
    assert_eq!(change(HostHealth::Lost, 2), [(host(1), HostHealth::Ready)]);
    assert_eq!(change(HostHealth::Silent, 2), [(host(1), HostHealth::Ready)]);
}

#[test]
fn too_many_at_once_are_held_and_a_small_cell_can_still_lose_one() {
    assert_eq!(lost_of(1, 1), (0, 1));
    assert_eq!(lost_of(2, 1), (1, 0));
    assert_eq!(lost_of(2, 2), (0, 2));
    assert_eq!(lost_of(3, 1), (1, 0));
    assert_eq!(lost_of(10, 1), (1, 0));
    assert_eq!(lost_of(10, 2), (0, 2));
    assert_eq!(lost_of(39, 1), (1, 0));
    assert_eq!(lost_of(40, 2), (2, 0));
    assert_eq!(lost_of(100, 5), (5, 0));
    assert_eq!(lost_of(100, 6), (0, 6));
}

#[test]
fn a_slow_trickle_does_not_get_around_the_rule() {
    let mut hosts = cell(100, 0, 0);
    for (n, host) in hosts.iter_mut().enumerate().take(50) {
        host.unchanged = Millis::from_secs(85 + u64::from(n < 2) * 5);
    }
    let expiry = expire(&hosts, &ExpiryLimits::default());
    assert_eq!(expiry.held, [host(0), host(1)]);
    assert!(expiry.changes.iter().all(|(_, h)| *h == HostHealth::Silent));
}

#[test]
fn hosts_lost_before_do_not_count_again() {
    let mut hosts = cell(40, 1, 90);
    hosts.extend((40..60).map(|n| heard(n, HostHealth::Lost, 10_000)));
    assert_eq!(
        expire(&hosts, &ExpiryLimits::default()).changes,
        [(host(0), HostHealth::Lost)]
    );
}

#[test]
fn a_directive_names_what_its_host_shall_run_or_end() {
    let job = service(9);
    let tasks = [
        started(&job, 3, 1),
        kill(&started(&job, 1, 1), T0),
        started(&job, 2, 2),
        waiting(&job, 4),
        finished(&job, 5, ReasonCode::Failed, T0),
    ];
    let told = directive(host(1), 8, tasks.iter().map(|t| (t, &*job.spec)));
    let named: Vec<(u8, Wanted)> = told
        .tasks
        .iter()
        .map(|t| (t.task.to_bytes()[0], t.wanted))
        .collect();
    assert_eq!(named, [(1, Wanted::Stop), (3, Wanted::Run)]);
    assert_eq!(told.specs.len(), 1);
    assert_eq!(told.specs[&job.spec.digest()], **job.spec.launch());
    assert_eq!((told.host, told.generation), (host(1), 8));
}
