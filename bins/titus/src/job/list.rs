//! `titus job list`.

use clap::{Args, ValueEnum};
use titus_api::v3;

use super::view::JobFacts;
use crate::api::pages::{self, Criteria};
use crate::exit::CliError;
use crate::output::time::{age, moment};
use crate::output::{Format, Table};
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only jobs of this application
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// Only jobs of this owner
    #[arg(long, value_name = "EMAIL")]
    owner: Option<String>,
    /// Only jobs in this state
    #[arg(long, value_enum, ignore_case = true)]
    state: Option<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum State {
    Accepted,
    KillInitiated,
    Finished,
}

pub(crate) async fn run(session: &Session, args: ListArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let found = pages::jobs(&api, &criteria(args), &[]).await?;
    session.printer(Format::Table).show(
        &found,
        |wide| table(&found.items, wide),
        || found.items.iter().map(|job| job.id.clone()).collect(),
    )
}

fn criteria(args: ListArgs) -> Criteria {
    let state = args.state.map(|s| format!("{s:?}"));
    let given = [
        ("applicationName", args.application),
        ("owner", args.owner),
        ("jobState", state),
    ];
    given
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

fn table(jobs: &[v3::Job], wide: bool) -> String {
    let mut header = vec!["ID", "APPLICATION", "KIND", "TASKS", "STATE", "AGE"];
    if wide {
        header.extend(["GROUP", "OWNER", "IMAGE", "CREATED"]);
    }
    let mut table = Table::new(&header);
    for job in jobs {
        let facts = JobFacts::of(job);
        let mut row = vec![
            job.id.clone(),
            facts.application.to_owned(),
            facts.kind.to_owned(),
            facts.desired.to_string(),
            facts.state.to_owned(),
            age(facts.created),
        ];
        if wide {
            row.extend([
                facts.group.to_owned(),
                facts.owner.to_owned(),
                facts.image.clone(),
                moment(facts.created),
            ]);
        }
        table.row(row);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::view::tests::{batch, service};

    #[test]
    fn jobs_are_one_line_each() {
        let mut jobs = [batch(), service()];
        for job in &mut jobs {
            job.status.as_mut().unwrap().timestamp = 0;
            job.status_history.clear();
        }
        insta::assert_snapshot!(table(&jobs, false));
        insta::assert_snapshot!(table(&jobs, true));
        insta::assert_snapshot!(table(&[], false));
    }

    #[test]
    fn only_what_was_given_is_a_criterion() {
        let none = ListArgs {
            application: None,
            owner: None,
            state: None,
        };
        assert!(criteria(none).is_empty());
        let all = criteria(ListArgs {
            application: Some("web".into()),
            owner: Some("a@b".into()),
            state: Some(State::KillInitiated),
        });
        assert_eq!(all["jobState"], "KillInitiated");
        assert_eq!((all.len(), all["applicationName"].as_str()), (3, "web"));
    }
}
