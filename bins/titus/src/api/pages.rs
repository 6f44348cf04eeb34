//! Whole listings, page by page.

use std::collections::BTreeMap;

use titus_api::v3;

use super::Api;
use crate::exit::CliError;

/// As many as the server gives at once; it gives fewer where a page would be too large.
const PAGE: i32 = 10_000;

/// Criteria of a listing, by their names in the API.
pub(crate) type Criteria = BTreeMap<String, String>;

/// Every job that matches; of each only `fields`, or all when empty.
pub(crate) async fn jobs(
    api: &Api,
    criteria: &Criteria,
    fields: &[&str],
) -> Result<v3::JobQueryResult, CliError> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = v3::JobQuery {
            page: Some(page(cursor)),
            filtering_criteria: criteria.clone(),
            fields: fields.iter().map(|f| (*f).to_owned()).collect(),
        };
        let asked = api.jobs().find_jobs(query).await;
        let answer = asked.map_err(api.failed("list jobs"))?.into_inner();
        items.extend(answer.items);
        let Some(after) = next(answer.pagination.as_ref()) else {
            let pagination = Some(whole(items.len()));
            return Ok(v3::JobQueryResult { items, pagination });
        };
        cursor = after;
    }
}

/// Every task that matches; of each only `fields`, or all when empty.
pub(crate) async fn tasks(
    api: &Api,
    criteria: &Criteria,
    fields: &[&str],
) -> Result<v3::TaskQueryResult, CliError> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = v3::TaskQuery {
            page: Some(page(cursor)),
            filtering_criteria: criteria.clone(),
            fields: fields.iter().map(|f| (*f).to_owned()).collect(),
        };
        let asked = api.jobs().find_tasks(query).await;
        let answer = asked.map_err(api.failed("list tasks"))?.into_inner();
        items.extend(answer.items);
        let Some(after) = next(answer.pagination.as_ref()) else {
            let pagination = Some(whole(items.len()));
            return Ok(v3::TaskQueryResult { items, pagination });
        };
        cursor = after;
    }
}

fn page(cursor: String) -> v3::Page {
    v3::Page {
        page_size: PAGE,
        cursor,
        ..Default::default()
    }
}

fn next(pagination: Option<&v3::Pagination>) -> Option<String> {
    let page = pagination?;
    (page.has_more && !page.cursor.is_empty()).then(|| page.cursor.clone())
}

/// What a listing says about itself when nothing is left out.
fn whole(items: usize) -> v3::Pagination {
    v3::Pagination {
        has_more: false,
        total_items: i32::try_from(items).unwrap_or(i32::MAX),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_goes_on_while_there_is_more() {
        let page = |has_more, cursor: &str| {
            next(Some(&v3::Pagination {
                has_more,
                cursor: cursor.into(),
                ..Default::default()
            }))
        };
        assert_eq!(page(true, "c").as_deref(), Some("c"));
        assert_eq!(page(false, "c"), None);
        assert_eq!(page(true, ""), None);
        assert_eq!(next(None), None);
    }
}
