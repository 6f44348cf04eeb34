//! The owner's e-mail address: mandatory, since somebody has to be told.

use super::text;
use crate::spec::findings::{Findings, shown};
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::JobRequest;

const FIELD: &str = "owner.teamEmail";
const HELP: &str =
    "write the address where the job's owner is reached, as  owner: { teamEmail: you@example.com }";

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let email = &mut request.owner.team_email;
    text::trim(email, FIELD, found);
    text::plain(email, limits.get(Limit::NameBytes).max, FIELD, found);
    if email.is_empty() {
        found.refuse(FIELD, "it is required", HELP);
    } else if !is_address(email) {
        found.refuse(FIELD, format!("{} is not an e-mail address", shown(email)), HELP);
    }
}

/// One `@` with something on each side and no white space: more than that, only sending a mail can tell.
fn is_address(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(user, place)| !user.is_empty() && !place.is_empty() && !place.contains('@'))
        && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_at_with_something_each_side() {
        for good in ["a@b", "team+x@example.com", "é@ü.example"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b c"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
