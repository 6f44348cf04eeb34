//! `titus job scale`.

use clap::Args;
use titus_api::v3;

use super::view::JobFacts;
use crate::exit::CliError;
use crate::ids::{self, Kind};
use crate::output::Format;
use crate::output::units::count;
use crate::session::Session;
use crate::terminal;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["desired", "min", "max"]))]
pub(crate) struct ScaleArgs {
    /// The job's id, or the beginning of it
    job: String,
    /// How many tasks it shall have
    desired: Option<u32>,
    /// The fewest that it may have
    #[arg(long)]
    min: Option<u32>,
    /// The most that it may have
    #[arg(long)]
    max: Option<u32>,
}

pub(crate) async fn run(session: &Session, args: ScaleArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let id = ids::resolve(&api, Kind::Job, &args.job).await?;
    let update = v3::JobCapacityUpdateWithOptionalAttributes {
        job_id: id.clone(),
        job_capacity_with_optional_attributes: Some(v3::JobCapacityWithOptionalAttributes {
            min: args.min.map(Into::into),
            max: args.max.map(Into::into),
            desired: args.desired.map(Into::into),
        }),
    };
    let asked = api
        .jobs()
        .update_job_capacity_with_optional_attributes(update)
        .await;
    api.written(asked.map_err(api.failed("scale the job"))?);
    let job = super::status::fetch(&api, &id).await?;
    let facts = JobFacts::of(&job);
    terminal::say(&format!(
        "job {id} shall have {} (min {}, max {})",
        count(facts.desired, "task"),
        facts.capacity.min,
        facts.capacity.max
    ));
    session
        .printer(Format::Table)
        .show(&job, |_| String::new(), || vec![id])
}
