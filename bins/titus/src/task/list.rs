//! `titus task list`.

use clap::Args;
use titus_api::v3;
use titus_api::v3::task_status::TaskState;

use super::view::TaskFacts;
use crate::api::pages::{self, Criteria};
use crate::exit::CliError;
use crate::ids::{self, Kind};
use crate::output::time::age;
use crate::output::{Format, Table};
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only tasks of this job: its id, or the beginning of it
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only tasks in these states, as Started,Finished
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    state: Vec<TaskState>,
}

fn state(text: &str) -> Result<TaskState, String> {
    let all = (0..=6).filter_map(|n| TaskState::try_from(n).ok());
    let names: Vec<&str> = all.clone().map(|s| s.as_str_name()).collect();
    all.into_iter()
        .find(|s| s.as_str_name().eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("use one of {}", names.join(", ")))
}

pub(crate) async fn run(session: &Session, args: ListArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let mut criteria = Criteria::new();
    if let Some(given) = &args.job {
        let id = ids::resolve(&api, Kind::Job, given).await?;
        crate::job::exists(&api, &id).await?;
        criteria.insert("jobIds".to_owned(), id);
    }
    if !args.state.is_empty() {
        let names: Vec<&str> = args.state.iter().map(TaskState::as_str_name).collect();
        criteria.insert("taskStates".to_owned(), names.join(","));
    }
    let found = pages::tasks(&api, &criteria, &[]).await?;
    let indexed = found.items.iter().any(|t| !TaskFacts::of(t).index.is_empty());
    session.printer(Format::Table).show(
        &found,
        |wide| table(&found.items, indexed, wide),
        || found.items.iter().map(|task| task.id.clone()).collect(),
    )
}

/// Tasks, one a line, with their index where tasks have one.
pub(crate) fn table(tasks: &[v3::Task], indexed: bool, wide: bool) -> String {
    let mut header = vec!["ID"];
    if indexed {
        header.push("INDEX");
    }
    header.extend(["STATE", "REASON", "HOST", "ADDRESS", "FOR"]);
    if wide {
        header.extend(["ZONE", "REPLACES", "JOB"]);
    }
    let mut table = Table::new(&header);
    let mut rows: Vec<(&v3::Task, TaskFacts<'_>)> = tasks.iter().map(|t| (t, TaskFacts::of(t))).collect();
    // Equal tasks were made in the same millisecond, and their ids sort by chance; people look for an index.
    rows.sort_by_key(|(task, facts)| (task.job_id.clone(), facts.index.parse::<u32>().unwrap_or(0)));
    for (task, facts) in rows {
        let mut row = vec![task.id.clone()];
        if indexed {
            row.push(facts.index.to_owned());
        }
        row.extend([
            facts.state().as_str_name().to_owned(),
            short(&facts),
            facts.host.to_owned(),
            facts.address.to_owned(),
            age(facts.since),
        ]);
        if wide {
            row.extend([
                facts.zone.to_owned(),
                facts.resubmit_of.to_owned(),
                task.job_id.clone(),
            ]);
        }
        table.row(row);
    }
    table.render()
}

/// The code alone, and the words that came with it where they are few.
fn short(facts: &TaskFacts<'_>) -> String {
    const FEW: usize = 40;
    match facts.message {
        "" => facts.reason.to_owned(),
        message if message.chars().count() <= FEW => format!("{}: {message}", facts.reason),
        message => {
            let cut: String = message.chars().take(FEW).collect();
            format!("{}: {cut}…", facts.reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::view::tests::task;

    fn tasks() -> [v3::Task; 3] {
        let mut all = [
            task("a", 0, TaskState::Started, "normal"),
            task("b", 1, TaskState::Accepted, "normal"),
            task("c", 2, TaskState::Finished, "failed"),
        ];
        for task in &mut all {
            task.status.as_mut().unwrap().timestamp = 0;
        }
        all[2].status.as_mut().unwrap().reason_message = "\u{1b}[2J".to_owned() + &"x".repeat(50);
        all[2]
            .task_context
            .insert("task.resubmitOf".into(), "before".into());
        all
    }

    #[test]
    fn tasks_are_one_line_each() {
        insta::assert_snapshot!(table(&tasks(), true, false));
        insta::assert_snapshot!(table(&tasks(), false, true));
    }

    #[test]
    fn states_are_named_in_any_case() {
        assert_eq!(state("started"), Ok(TaskState::Started));
        assert_eq!(state("KillInitiated"), Ok(TaskState::KillInitiated));
        assert!(state("running").unwrap_err().contains("StartInitiated"));
    }
}
