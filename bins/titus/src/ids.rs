//! Ids as users type them: whole, or so much of the beginning that only one fits.

use crate::api::Api;
use crate::api::pages::{self, Criteria};
use crate::exit::{CliError, Exit};

/// The full length of a UUID.
const WHOLE: usize = 36;

/// The most candidates that an error names.
const NAMED: usize = 5;

/// What an id belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Job,
    Task,
}

impl Kind {
    const fn noun(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Task => "task",
        }
    }
}

/// The whole id of what a user names.
pub(crate) async fn resolve(api: &Api, kind: Kind, given: &str) -> Result<String, CliError> {
    let given = given.trim().to_ascii_lowercase();
    if !could_begin_an_id(&given) {
        return Err(unknown(kind, &given));
    }
    if given.len() == WHOLE {
        return Ok(given);
    }
    let all = match kind {
        Kind::Job => {
            let all = pages::jobs(api, &Criteria::new(), &["id"]).await?;
            all.items.into_iter().map(|job| job.id).collect()
        }
        Kind::Task => {
            let all = pages::tasks(api, &Criteria::new(), &["id"]).await?;
            all.items.into_iter().map(|task| task.id).collect()
        }
    };
    only_one(kind, &given, all)
}

fn could_begin_an_id(given: &str) -> bool {
    let fits = |(i, b): (usize, u8)| match i {
        8 | 13 | 18 | 23 => b == b'-',
        _ => b.is_ascii_hexdigit(),
    };
    !given.is_empty() && given.len() <= WHOLE && given.bytes().enumerate().all(fits)
}

fn only_one(kind: Kind, given: &str, all: Vec<String>) -> Result<String, CliError> {
    let mut fitting: Vec<String> = all.into_iter().filter(|id| id.starts_with(given)).collect();
    match fitting.len() {
        0 => Err(unknown(kind, given)),
        1 => Ok(fitting.remove(0)),
        many => {
            fitting.truncate(NAMED);
            let more = if many > NAMED { ", …" } else { "" };
            Err(CliError::usage(
                format!("{many} {}s begin with {given}", kind.noun()),
                format!("type more of the id: {}{more}", fitting.join(", ")),
            ))
        }
    }
}

fn unknown(kind: Kind, given: &str) -> CliError {
    let noun = kind.noun();
    CliError::new(
        Exit::NotFound,
        format!("there is no {noun} whose id is or begins with {given:?}"),
        format!("list what there is:  titus {noun} list"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0198f3c2-1111-8abc-8000-000000000001";
    const TWO: &str = "0198f3c2-1111-8abc-8000-000000000002";

    fn pick(given: &str) -> Result<String, CliError> {
        only_one(Kind::Job, given, vec![ONE.into(), TWO.into()])
    }

    #[test]
    fn a_beginning_will_do_when_only_one_has_it() {
        assert_eq!(pick(ONE).unwrap(), ONE);
        assert_eq!(pick("0198f3c2-1111-8abc-8000-000000000002").unwrap(), TWO);
        let both = pick("0198f3c2").unwrap_err();
        assert_eq!(both.exit, Exit::Usage);
        assert_eq!(both.to_string(), "2 jobs begin with 0198f3c2");
        assert!(both.help_text().unwrap().contains(TWO));
        assert_eq!(pick("ff").unwrap_err().exit, Exit::NotFound);
    }

    #[test]
    fn what_is_no_id_is_not_looked_for() {
        for good in ["0", "0198f3c2", "0198f3c2-", "0198F3C2-1111", ONE] {
            assert!(could_begin_an_id(good), "{good}");
        }
        for bad in ["", "nothing-like-this", "0198f3c21", "-", &format!("{ONE}0")] {
            assert!(!could_begin_an_id(bad), "{bad}");
        }
    }
}
