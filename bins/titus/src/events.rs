//! `titus events`.

use clap::Args;
use titus_api::v1;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use crate::api::Api;
use crate::exit::CliError;
use crate::ids::{self, Kind};
use crate::output::time::moment;
use crate::output::{Format, Printer};
use crate::session::Session;
use crate::terminal::{self, plain};

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on after the event that has this cursor [default: from the oldest that is kept]
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
    /// Stop after what is there already
    #[arg(long)]
    no_follow: bool,
    /// Only events of this job and its tasks
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only events of this task
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Only events of this host
    #[arg(long, value_name = "ID")]
    host: Option<String>,
}

pub(crate) async fn run(session: &Session, args: EventsArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let whole = async |kind, given: Option<String>| match given {
        Some(given) => ids::resolve(&api, kind, &given).await,
        None => Ok(String::new()),
    };
    let mut request = v1::WatchEventsRequest {
        after: args.from.clone().unwrap_or_else(|| BEGINNING.to_owned()),
        no_follow: args.no_follow,
        job_id: whole(Kind::Job, args.job).await?,
        task_id: whole(Kind::Task, args.task).await?,
        host_id: args.host.unwrap_or_default(),
    };
    let printer = session.printer(Format::Json);
    let mut outcome = print(&api, printer, request.clone()).await?;
    if args.from.is_none() && is_too_old(&outcome) {
        terminal::say("note: the first events are not kept any more, these are from now on");
        request.after.clear();
        outcome = print(&api, printer, request).await?;
    }
    outcome.map_err(api.failed("watch events"))
}

fn is_too_old(outcome: &Result<(), Status>) -> bool {
    outcome
        .as_ref()
        .is_err_and(|status| status.code() == Code::OutOfRange)
}

/// Prints events until there are no more, or the server says why not.
async fn print(
    api: &Api,
    printer: Printer,
    request: v1::WatchEventsRequest,
) -> Result<Result<(), Status>, CliError> {
    let mut events = match api.events().watch_events(request).await {
        Ok(opened) => opened.into_inner(),
        Err(status) => return Ok(Err(status)),
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => printer.item(&event, |_| line(&event), || event.cursor.clone())?,
            Err(status) => return Ok(Err(status)),
        }
    }
    Ok(Ok(()))
}

/// The cursor before every other.
const BEGINNING: &str = "0";

/// An event as one line for people.
fn line(event: &v1::Event) -> String {
    let kind = event.kind().as_str_name();
    let kind = kind
        .strip_prefix("EVENT_KIND_")
        .unwrap_or(kind)
        .to_ascii_lowercase();
    let object = [&event.task_id, &event.job_id, &event.host_id]
        .into_iter()
        .find(|id| !id.is_empty())
        .map_or("", String::as_str);
    let why = crate::task::view::why(&event.reason_code, &event.message);
    let parts = [
        moment(event.timestamp_ms),
        kind,
        object.to_owned(),
        event.state.clone(),
        why,
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| plain(part).into_owned())
        .collect();
    parts.join("  ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = v1::Event {
            cursor: "c".into(),
            timestamp_ms: 1_700_000_000_000,
            kind: v1::EventKind::TaskFinished.into(),
            job_id: "j".into(),
            task_id: "t".into(),
            state: "Finished".into(),
            reason_code: "failed".into(),
            message: "exit code\n3".into(),
            ..Default::default()
        };
        assert_eq!(
            line(&event),
            "2023-11-14T22:13:20.000Z  task_finished  t  Finished  failed: exit code\\n3\n"
        );
    }
}
