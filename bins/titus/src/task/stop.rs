//! `titus task stop`.

use clap::Args;
use titus_api::v3;

use super::view::TaskFacts;
use crate::api::Api;
use crate::exit::CliError;
use crate::ids::{self, Kind};
use crate::output::Format;
use crate::output::units::count;
use crate::session::Session;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The tasks' ids, or the beginnings of them
    #[arg(required = true)]
    tasks: Vec<String>,
    /// Make the service job smaller by each of them, so that none is replaced
    #[arg(long)]
    shrink: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(session: &Session, args: StopArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let mut tasks = Vec::new();
    for given in &args.tasks {
        let id = ids::resolve(&api, Kind::Task, given).await?;
        tasks.push(super::status::fetch(&api, &id).await?);
    }
    terminal::confirm(args.yes, &question(&tasks))?;
    let mut worst = None;
    for task in tasks {
        if let Err(error) = stop(session, &api, &task, args.shrink).await
            && let Some(earlier) = worst.replace(error)
        {
            crate::report::print(&earlier);
        }
    }
    worst.map_or(Ok(()), Err)
}

async fn stop(session: &Session, api: &Api, task: &v3::Task, shrink: bool) -> Result<(), CliError> {
    let request = v3::TaskKillRequest {
        task_id: task.id.clone(),
        shrink,
        prevent_min_size_update: false,
    };
    let asked = api.jobs().kill_task(request).await;
    api.written(asked.map_err(api.failed(&format!("stop task {}", task.id)))?);
    terminal::say(&format!("task {} is stopping", task.id));
    let printer = session.printer(Format::Table);
    if matches!(printer.format, Format::Table | Format::Wide) {
        return Ok(());
    }
    let stopped = super::status::fetch(api, &task.id).await?;
    printer.item(&stopped, |_| String::new(), || task.id.clone())
}

fn question(tasks: &[v3::Task]) -> String {
    match tasks {
        [task] => {
            let state = TaskFacts::of(task).state();
            format!("Stop task {} ({})?", task.id, state.as_str_name())
        }
        many => format!("Stop {}?", count(many.len() as u64, "task")),
    }
}

#[cfg(test)]
mod tests {
    use titus_api::v3::task_status::TaskState;

    use super::*;
    use crate::task::view::tests::task;

    #[test]
    fn the_question_names_what_would_be_stopped() {
        let one = task("a", 0, TaskState::Started, "normal");
        assert_eq!(question(std::slice::from_ref(&one)), "Stop task a (Started)?");
        assert_eq!(question(&[one.clone(), one]), "Stop 2 tasks?");
    }
}
