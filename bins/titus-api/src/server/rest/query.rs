//! Query strings: a few words of paging, and everything else a criterion.

use std::collections::BTreeMap;

use crate::server::error::ApiError;
use crate::v3;

/// Items on a page that does not say how many.
const DEFAULT_PAGE: i32 = 10;

/// A query string, the first value of each name.
#[derive(Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let mut all = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            all.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(all)
    }

    /// Takes one word out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Takes one word out, as a number or whatever else it must be.
    pub(crate) fn take_as<T: std::str::FromStr>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let shown: String = text.chars().take(80).collect();
        let parsed = text
            .parse()
            .map_err(|_| ApiError::invalid(format!("{name} is {shown:?}: send {expected}")))?;
        Ok(Some(parsed))
    }

    /// The page asked for.
    pub(crate) fn page(&mut self) -> Result<v3::Page, ApiError> {
        #[allow(deprecated, reason = "the deprecated field is honoured")]
        Ok(v3::Page {
            page_number: self.take_as("page", "a number from 0")?.unwrap_or(0),
            page_size: self
                .take_as("pageSize", "a number from 1")?
                .unwrap_or(DEFAULT_PAGE),
            cursor: self.take("cursor").unwrap_or_default(),
        })
    }

    /// The fields wanted.
    pub(crate) fn fields(&mut self) -> Vec<String> {
        let list = self.take("fields").unwrap_or_default();
        list.split(',')
            .filter(|f| !f.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// What is left: the criteria.
    pub(crate) fn criteria(mut self) -> BTreeMap<String, String> {
        for ignored in ["debug", "accessToken"] {
            self.0.remove(ignored);
        }
        self.0
    }

    /// Says what is left where nothing should be.
    pub(crate) fn end(self) -> Result<(), ApiError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => {
                let shown: String = name.chars().take(80).collect();
                Err(ApiError::invalid(format!(
                    "{shown:?} means nothing here: leave it out"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paging_words_are_taken_out_and_the_rest_are_criteria() {
        let mut query = Query::parse(Some(
            "pageSize=5&cursor=abc&fields=id,status.state&attributes=a%3Ab,c&debug=true&appName=web&appName=other",
        ));
        let page = query.page().unwrap();
        assert_eq!((page.page_size, page.cursor.as_str()), (5, "abc"));
        assert_eq!(query.fields(), ["id", "status.state"]);
        let criteria: Vec<(String, String)> = query.criteria().into_iter().collect();
        assert_eq!(
            criteria,
            [
                ("appName".into(), "web".into()),
                ("attributes".into(), "a:b,c".into())
            ]
        );
        assert_eq!(Query::parse(None).page().unwrap().page_size, DEFAULT_PAGE);
    }

    #[test]
    fn a_word_out_of_form_or_place_is_named() {
        assert!(
            Query::parse(Some("pageSize=ten"))
                .page()
                .unwrap_err()
                .message
                .contains("pageSize is \"ten\"")
        );
        assert!(
            Query::parse(Some("color=red"))
                .end()
                .unwrap_err()
                .message
                .contains("\"color\"")
        );
        assert!(Query::parse(Some("")).end().is_ok());
    }
}
