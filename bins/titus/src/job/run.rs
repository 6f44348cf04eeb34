//! `titus job run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use titus_api::convert::descriptor_from_request;
use titus_api::v3;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tonic::Streaming;

use super::watch::{Change, Watch};
use crate::api::{Api, field_faults};
use crate::exit::{CliError, Exit};
use crate::jobfile::JobFile;
use crate::output::units::count;
use crate::output::{Format, Printer};
use crate::session::Session;
use crate::task::view::TaskFacts;
use crate::{task, terminal};

/// How long tasks may take to start where the user does not say.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The job file, in YAML or JSON; `-` for standard input
    file: PathBuf,
    /// Stay until the job is over, and print what becomes of its tasks
    #[arg(long, conflicts_with = "detach")]
    watch: bool,
    /// Do not wait until the tasks run
    #[arg(short, long, conflicts_with = "timeout")]
    detach: bool,
    /// How long the tasks may take to start, as 90s or 5m [default: 60s; with --watch, for ever]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

/// A time as `3s`, `1m30s` or `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>();
    parsed
        .ok()
        .and_then(|time| Duration::try_from(time).ok())
        .ok_or_else(|| "write it as 90s, 5m or 500ms".to_owned())
}

pub(crate) async fn run(session: &Session, args: RunArgs) -> Result<(), CliError> {
    let file = JobFile::read(&args.file)?;
    file.check()?;
    let api = session.api()?;
    let id = submit(&api, &file).await?;
    let mut waiting = Waiting {
        printer: session.printer(Format::Table),
        verbose: args.watch,
        api,
        id,
        watch: Watch::default(),
        progress: progress(args.watch),
    };
    waiting.accepted()?;
    if args.detach {
        return waiting.done(false).await;
    }
    let patience = args.timeout.or_else(|| (!args.watch).then_some(PATIENCE));
    waiting.wait(args.watch, patience).await?;
    waiting.done(args.watch).await
}

async fn submit(api: &Api, file: &JobFile) -> Result<String, CliError> {
    let descriptor = descriptor_from_request(&file.request);
    let created = api.jobs().create_job(descriptor).await;
    created.map(|answer| api.written(answer).id).map_err(|status| {
        let faults = field_faults(&status);
        if faults.is_empty() {
            api.failed("submit the job")(status)
        } else {
            file.refused_by_server(&faults)
        }
    })
}

fn progress(verbose: bool) -> ProgressBar {
    if verbose || !terminal::shows_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A job that was accepted and is waited for.
struct Waiting {
    printer: Printer,
    verbose: bool,
    api: Api,
    id: String,
    watch: Watch,
    progress: ProgressBar,
}

impl Waiting {
    fn accepted(&self) -> Result<(), CliError> {
        terminal::say(&format!("job {} is accepted", self.id));
        match self.printer.format {
            Format::Table | Format::Wide | Format::Name => self.printer.text(&format!("{}\n", self.id)),
            Format::Json | Format::Yaml => Ok(()),
        }
    }

    async fn wait(&mut self, to_the_end: bool, patience: Option<Duration>) -> Result<(), CliError> {
        let begun = Instant::now();
        let job = v3::JobId { id: self.id.clone() };
        let opened = self.api.jobs().observe_job(job).await;
        let mut news = opened.map_err(self.api.failed("watch the job"))?.into_inner();
        let deadline = patience.map(|patience| begun + patience);
        while !self.watch.all_started() && !self.watch.is_over() {
            if !self.next(&mut news, deadline).await? {
                break;
            }
        }
        self.report_start(begun.elapsed());
        while to_the_end && !self.watch.is_over() {
            if !self.next(&mut news, None).await? {
                break;
            }
        }
        if self.watch.is_over() && !self.watch.ended_well() {
            Err(self.failed())
        } else {
            Ok(())
        }
    }

    fn report_start(&self, took: Duration) {
        self.progress.finish_and_clear();
        if self.watch.all_started() {
            let took = titus_core::time::Millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            let tasks = count(self.watch.desired() as u64, "task");
            terminal::say(&format!("{tasks} started in {took}"));
        }
    }

    /// Takes one notification; false when there are no more.
    async fn next(
        &mut self,
        news: &mut Streaming<v3::JobChangeNotification>,
        deadline: Option<Instant>,
    ) -> Result<bool, CliError> {
        let next = match deadline {
            None => Ok(news.next().await),
            Some(deadline) => tokio::time::timeout_at(deadline, news.next()).await,
        };
        let Ok(next) = next else {
            return Err(self.too_slow().await);
        };
        let Some(message) = next else { return Ok(false) };
        let message = message.map_err(self.api.failed("watch the job"))?;
        self.take(message)?;
        Ok(true)
    }

    fn take(&mut self, message: v3::JobChangeNotification) -> Result<(), CliError> {
        if self.verbose && matches!(self.printer.format, Format::Json | Format::Yaml) {
            self.printer.item(&message, |_| String::new(), String::new)?;
        }
        let line = self.watch.apply(message).map(line);
        let (started, desired) = (self.watch.started(), self.watch.desired());
        self.progress
            .set_message(format!("{started} of {} started", count(desired as u64, "task")));
        match (self.verbose, self.printer.format, line) {
            (true, Format::Table | Format::Wide, Some(line)) => self.printer.text(&line),
            _ => Ok(()),
        }
    }

    async fn too_slow(&self) -> CliError {
        let (started, desired) = (self.watch.started(), self.watch.desired());
        let mut reasons = Vec::new();
        for waiting in self.watch.waiting().take(3) {
            if let Some(why) = task::why::ask(&self.api, &waiting.id).await {
                reasons.push(CliError::new(
                    Exit::NotStarted,
                    format!("task {} waits: {}", waiting.id, task::why::sentence(&why)),
                    "",
                ));
            }
        }
        self.not_started(
            format!("{started} of {} started in time", count(desired as u64, "task")),
            reasons,
        )
    }

    fn failed(&self) -> CliError {
        let parts: Vec<CliError> = self
            .watch
            .failed()
            .take(3)
            .map(|failed| CliError::new(Exit::NotStarted, TaskFacts::of(failed).verdict(), ""))
            .collect();
        let tasks = count(self.watch.failed().count() as u64, "task");
        let mut error = CliError::new(
            Exit::NotStarted,
            format!("job {} is over, and {tasks} did not end well", self.id),
            "look at one of them with  titus task status ID  and  titus task logs ID",
        );
        error = error.with_parts(parts);
        error
    }

    fn not_started(&self, message: String, parts: Vec<CliError>) -> CliError {
        let id = &self.id;
        CliError::new(
            Exit::NotStarted,
            format!("job {id} was accepted, and {message}"),
            format!("it goes on: see  titus job status {id}  or stop it with  titus job stop {id}"),
        )
        .with_parts(parts)
    }

    async fn done(&self, to_the_end: bool) -> Result<(), CliError> {
        if !to_the_end {
            terminal::say(&format!("Next:  titus job status {}", self.id));
        }
        match self.printer.format {
            Format::Json | Format::Yaml if !self.verbose => {
                let job = super::status::fetch(&self.api, &self.id).await?;
                self.printer.show(&job, |_| String::new(), Vec::new)
            }
            _ => Ok(()),
        }
    }
}

/// A change as one line.
fn line(change: Change<'_>) -> String {
    match change {
        Change::Job(job) => super::status::state_line(job),
        Change::Task(task) => TaskFacts::of(task).state_line(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_write_them() {
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "3", "soon", "-3s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
