//! `titus job status`.

use clap::Args;
use titus_api::{v1, v3};

use super::view::JobFacts;
use crate::api::Api;
use crate::api::pages::{self, Criteria};
use crate::exit::CliError;
use crate::ids::{self, Kind};
use crate::output::time::{age, moment};
use crate::output::units::{count, cpus};
use crate::output::{Facts, Format};
use crate::session::Session;
use crate::task;
use crate::task::view::TaskFacts;
use crate::terminal::plain;

/// The most waiting tasks that are asked about: tasks of one job wait for the same.
const ASKED: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The job's id, or the beginning of it
    job: String,
}

pub(crate) async fn run(session: &Session, args: StatusArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let id = ids::resolve(&api, Kind::Job, &args.job).await?;
    let job = fetch(&api, &id).await?;
    let printer = session.printer(Format::Table);
    if !matches!(printer.format, Format::Table | Format::Wide) {
        return printer.show(&job, |_| String::new(), || vec![id]);
    }
    let only = Criteria::from([("jobIds".to_owned(), id)]);
    let tasks = pages::tasks(&api, &only, &[]).await?.items;
    let mut whys = Vec::new();
    for waiting in tasks.iter().filter(|t| TaskFacts::of(t).is_waiting()).take(ASKED) {
        whys.extend(task::why::ask(&api, &waiting.id).await);
    }
    printer.show(&job, |wide| view(&job, &tasks, &whys, wide), Vec::new)
}

/// The job of an id.
pub(super) async fn fetch(api: &Api, id: &str) -> Result<v3::Job, CliError> {
    let asked = api.jobs().find_job(v3::JobId { id: id.to_owned() }).await;
    Ok(asked.map_err(api.failed("find the job"))?.into_inner())
}

/// A job's state in one line.
pub(super) fn state_line(job: &v3::Job) -> String {
    let facts = JobFacts::of(job);
    let at = job.status.as_ref().map_or(0, |s| s.timestamp);
    format!(
        "{}  job {}  {}  {}\n",
        moment(at),
        job.id,
        facts.state,
        plain(&why(facts.reason, facts.message))
    )
}

fn view(job: &v3::Job, tasks: &[v3::Task], whys: &[v1::PlacementExplanation], wide: bool) -> String {
    let facts = JobFacts::of(job);
    let mut text = head(job, &facts);
    if !tasks.is_empty() {
        text += "\n";
        text += &task::list::table(tasks, facts.is_batch, wide);
    }
    let waiting = tasks.iter().filter(|t| TaskFacts::of(t).is_waiting()).count();
    if waiting > 0 {
        text += &format!("\n{} for a host:\n", wait(waiting));
        for why in whys {
            text += &format!("  {}  {}\n", why.task_id, plain(&task::why::sentence(why)));
        }
    }
    text
}

fn wait(tasks: usize) -> String {
    let verb = if tasks == 1 { "waits" } else { "wait" };
    format!("{} {verb}", count(tasks as u64, "task"))
}

fn head(job: &v3::Job, facts: &JobFacts<'_>) -> String {
    let mut head = Facts::default();
    head.add("job", &job.id)
        .add("application", facts.application)
        .add("owner", facts.owner)
        .add("group", facts.group)
        .add("kind", kind(facts))
        .add("image", &*facts.image)
        .add("resources", resources(job))
        .add("state", state(facts))
        .add(
            "created",
            format!("{} ({} ago)", moment(facts.created), age(facts.created)),
        );
    for status in job.status_history.iter().chain(&job.status).skip(1) {
        let name = match status.state() {
            v3::job_status::JobState::Finished => "finished",
            _ => "stopping",
        };
        head.add(name, moment(status.timestamp));
    }
    head.render()
}

fn kind(facts: &JobFacts<'_>) -> String {
    let tasks = count(facts.desired, "task");
    if facts.is_batch {
        return format!("batch, {tasks}");
    }
    let out = if facts.enabled { "" } else { ", out of service" };
    format!(
        "service, {tasks} (min {}, max {}){out}",
        facts.capacity.min, facts.capacity.max
    )
}

fn state(facts: &JobFacts<'_>) -> String {
    format!("{}  {}", facts.state, why(facts.reason, facts.message))
}

fn why(reason: &str, message: &str) -> String {
    if message.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason}: {message}")
    }
}

/// What one task asks for.
fn resources(job: &v3::Job) -> String {
    let container = job.job_descriptor.as_ref().and_then(|d| d.container.as_ref());
    let Some(asked) = container.and_then(|c| c.resources.as_ref()) else {
        return String::new();
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, for show alone"
    )]
    let milli = (asked.cpu * 1_000.0).round() as u64;
    let gpu = if asked.gpu > 0 {
        format!(", {}", count(asked.gpu, "GPU"))
    } else {
        String::new()
    };
    format!(
        "{} cpu, {} MB memory, {} MB disk, {} Mbps{gpu}",
        cpus(milli),
        asked.memory_mb,
        asked.disk_mb,
        asked.network_mbps
    )
}

#[cfg(test)]
mod tests {
    use titus_api::v3::task_status::TaskState;

    use super::*;
    use crate::job::view::tests::{batch, service};

    fn example(id: &str, index: u32, state: TaskState, reason: &str) -> v3::Task {
        let mut task = task::view::tests::task(id, index, state, reason);
        if let Some(status) = &mut task.status {
            status.timestamp = 0;
        }
        task
    }

    /// Ages depend on the clock.
    fn settled(text: &str) -> String {
        let ago = text.lines().map(|line| match line.split_once(" (") {
            Some((before, _)) if line.contains(" ago)") => format!("{before} (… ago)"),
            _ => line.to_owned(),
        });
        ago.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_finished_batch_job_shows_its_tasks_and_when_it_ended() {
        let tasks = [
            example("a", 0, TaskState::Finished, "normal"),
            example("b", 1, TaskState::Finished, "failed"),
        ];
        insta::assert_snapshot!(settled(&view(&batch(), &tasks, &[], false)));
    }

    #[test]
    fn a_service_shows_what_its_tasks_wait_for() {
        let tasks = [
            example("a", 0, TaskState::Started, "normal"),
            example("b", 1, TaskState::Accepted, "normal"),
        ];
        let whys = [task::why::tests::memory("b")];
        insta::assert_snapshot!(settled(&view(&service(), &tasks, &whys, true)));
    }

    #[test]
    fn texts_from_tenants_cannot_steer_the_terminal() {
        let mut job = service();
        job.job_descriptor.as_mut().unwrap().application_name = "\u{1b}[2Jx".into();
        job.status.as_mut().unwrap().reason_message = "\u{7}bell".into();
        let shown = view(&job, &[], &[], true) + &state_line(&job);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown}");
    }
}
