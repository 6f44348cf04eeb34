//! `titus task status`.

use clap::Args;
use titus_api::{v1, v3};

use super::view::{TaskFacts, why};
use crate::api::Api;
use crate::exit::CliError;
use crate::ids::{self, Kind};
use crate::output::time::{moment, span};
use crate::output::{Facts, Format, Table};
use crate::session::Session;
use crate::terminal::plain;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The task's id, or the beginning of it
    task: String,
}

pub(crate) async fn run(session: &Session, args: StatusArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let id = ids::resolve(&api, Kind::Task, &args.task).await?;
    let task = fetch(&api, &id).await?;
    let printer = session.printer(Format::Table);
    if !matches!(printer.format, Format::Table | Format::Wide) {
        return printer.show(&task, |_| String::new(), || vec![id]);
    }
    let asked = api
        .insight()
        .get_launch_stages(v1::TaskRef { task_id: id.clone() })
        .await;
    let stages = asked.map_err(api.failed("read the launch stages"))?.into_inner();
    let waits = if TaskFacts::of(&task).is_waiting() {
        super::why::ask(&api, &id).await
    } else {
        None
    };
    printer.show(&task, |_| view(&task, &stages, waits.as_ref()), Vec::new)
}

/// The task of an id.
pub(super) async fn fetch(api: &Api, id: &str) -> Result<v3::Task, CliError> {
    let asked = api.jobs().find_task(v3::TaskId { id: id.to_owned() }).await;
    Ok(asked.map_err(api.failed("find the task"))?.into_inner())
}

fn view(task: &v3::Task, stages: &v1::LaunchStages, waits: Option<&v1::PlacementExplanation>) -> String {
    let facts = TaskFacts::of(task);
    let mut head = Facts::default();
    head.add("task", &task.id)
        .add("job", &task.job_id)
        .add("index", facts.index)
        .add(
            "state",
            format!("{}  {}", facts.state().as_str_name(), facts.why()),
        )
        .add("host", place(&facts))
        .add("address", facts.address)
        .add("replaces", facts.resubmit_of)
        .add(
            "replacements",
            Some(facts.resubmits).filter(|n| *n != "0").unwrap_or(""),
        );
    if let Some(waits) = waits {
        head.add("waits", super::why::sentence(waits));
    }
    let mut text = head.render();
    text += "\n";
    text += &states(&facts);
    text += "\n";
    text += &stage_table(stages);
    text
}

fn place(facts: &TaskFacts<'_>) -> String {
    if facts.zone.is_empty() {
        facts.host.to_owned()
    } else {
        format!("{} in {}", facts.host, facts.zone)
    }
}

/// Every state with its reason, and how long the task stayed in it.
fn states(facts: &TaskFacts<'_>) -> String {
    let mut table = Table::new(&["STATE", "AT", "STAYED", "REASON"]);
    let all: Vec<&v3::TaskStatus> = facts.states().collect();
    for (i, status) in all.iter().enumerate() {
        let stayed = all
            .get(i + 1)
            .map_or_else(String::new, |next| span(status.timestamp, next.timestamp));
        table.row([
            status.state().as_str_name().to_owned(),
            moment(status.timestamp),
            stayed,
            why(&status.reason_code, &status.reason_message),
        ]);
    }
    table.render()
}

/// Every launch stage that was reached, and what it took since the one before.
fn stage_table(stages: &v1::LaunchStages) -> String {
    let mut reached: Vec<&v1::Stage> = stages.stages.iter().filter(|s| s.at_ms > 0).collect();
    // Image and network are prepared side by side: whichever came first is first.
    reached.sort_by_key(|s| s.at_ms);
    let mut table = Table::new(&["STAGE", "AT", "TOOK"]);
    let mut before = 0;
    for stage in reached {
        table.row([
            plain(&stage.name).into_owned(),
            moment(stage.at_ms),
            span(before, stage.at_ms),
        ]);
        before = stage.at_ms;
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use titus_api::v3::task_status::TaskState;

    use super::*;
    use crate::task::view::tests::task;

    fn stages(reached: &[(&str, u64)]) -> v1::LaunchStages {
        let stage = |(name, at): &(&str, u64)| v1::Stage {
            name: (*name).to_owned(),
            at_ms: if *at == 0 { 0 } else { 1_700_000_000_000 + at },
        };
        v1::LaunchStages {
            task_id: "t".into(),
            stages: reached.iter().map(stage).collect(),
        }
    }

    #[test]
    fn an_ended_task_shows_every_state_and_stage_with_its_time() {
        let mut failed = task("t", 1, TaskState::Finished, "failed");
        failed
            .task_context
            .insert("task.resubmitOf".into(), "before".into());
        failed
            .task_context
            .insert("task.resubmitNumber".into(), "1".into());
        let stages = stages(&[
            ("queued", 1),
            ("placed", 12),
            ("preparing", 15),
            ("image", 90),
            ("network", 40),
            ("started", 95),
            ("healthy", 0),
            ("killed", 0),
            ("finished", 1_300),
        ]);
        insta::assert_snapshot!(view(&failed, &stages, None));
    }

    #[test]
    fn a_waiting_task_shows_what_it_waits_for() {
        let waiting = task("t", 0, TaskState::Accepted, "normal");
        let why = crate::task::why::tests::memory("t");
        insta::assert_snapshot!(view(
            &waiting,
            &stages(&[("queued", 1), ("placed", 0)]),
            Some(&why)
        ));
    }
}
