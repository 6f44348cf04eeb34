//! `titus job stop`.

use clap::Args;
use titus_api::v3;

use super::view::JobFacts;
use crate::api::Api;
use crate::exit::CliError;
use crate::ids::{self, Kind};
use crate::output::Format;
use crate::output::units::count;
use crate::session::Session;
use crate::terminal::{self, plain};

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The jobs' ids, or the beginnings of them
    #[arg(required = true)]
    jobs: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(session: &Session, args: StopArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let mut jobs = Vec::new();
    for given in &args.jobs {
        let id = ids::resolve(&api, Kind::Job, given).await?;
        jobs.push(super::status::fetch(&api, &id).await?);
    }
    terminal::confirm(args.yes, &question(&jobs))?;
    let mut worst = None;
    for job in jobs {
        if let Err(error) = stop(session, &api, &job).await
            && let Some(earlier) = worst.replace(error)
        {
            crate::report::print(&earlier);
        }
    }
    worst.map_or(Ok(()), Err)
}

async fn stop(session: &Session, api: &Api, job: &v3::Job) -> Result<(), CliError> {
    let id = v3::JobId { id: job.id.clone() };
    let asked = api.jobs().kill_job(id).await;
    api.written(asked.map_err(api.failed(&format!("stop job {}", job.id)))?);
    terminal::say(&format!("job {} is stopping", job.id));
    let printer = session.printer(Format::Table);
    if printer.format == Format::Table || printer.format == Format::Wide {
        return Ok(());
    }
    let stopped = super::status::fetch(api, &job.id).await?;
    printer.item(&stopped, |_| String::new(), || job.id.clone())
}

fn question(jobs: &[v3::Job]) -> String {
    match jobs {
        [job] => {
            let facts = JobFacts::of(job);
            let tasks = count(facts.desired, "task");
            format!("Stop job {} ({}, {tasks})?", job.id, plain(facts.application))
        }
        many => format!("Stop {}?", count(many.len() as u64, "job")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::view::tests::{batch, service};

    #[test]
    fn the_question_names_what_would_be_stopped() {
        assert_eq!(
            question(&[service()]),
            "Stop job 0198f3c2-1111-8abc-8000-000000000002 (hello-service, 2 tasks)?"
        );
        assert_eq!(question(&[service(), batch()]), "Stop 2 jobs?");
    }
}
