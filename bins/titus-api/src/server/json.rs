//! JSON in and out: protobuf JSON of the same messages that gRPC carries.

use axum::body::Body;
use http::{Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ApiError, ErrorKind};
use super::wire_error::json_response;

/// The largest body that is read, as gRPC's largest message.
pub(crate) const MAX_BODY: usize = 4 << 20;

/// Parses a body.
///
/// # Errors
/// What is wrong with it, with line and column.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|e| ApiError::invalid(format!("the body is not the JSON expected: {e}")))
}

/// An answer, with its defaults printed.
pub(crate) fn answer<T: Serialize>(status: StatusCode, message: &T) -> Response<Body> {
    match serde_json::to_string(message) {
        Ok(text) => json_response(status, text),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            super::wire_error::to_http(&ApiError::new(
                ErrorKind::Internal,
                "the answer could not be written",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v3;

    fn says(body: &str) -> String {
        parse::<v3::JobDescriptor>(body.as_bytes()).unwrap_err().message
    }

    #[test]
    fn faults_are_told_with_line_column_and_the_valid_names() {
        let unknown = says("{\n  \"applicationname\": \"web\"}");
        assert!(unknown.contains("unknown field `applicationname`"), "{unknown}");
        assert!(
            unknown.contains("`applicationName`") && unknown.contains("line 2 column"),
            "{unknown}"
        );
        assert!(says("{").contains("line 1 column 1"));
        assert!(says("{\"batch\": {\"size\": -1}}").contains("line 1"));
        assert!(says("{\"container\": []}").contains("line 1"));
    }

    #[test]
    fn hostile_bodies_are_refused_and_bounded() {
        let deep = format!("{}1{}", "{\"platformSidecars\":[{\"arguments\":{\"a\":", "}}]}");
        let nested = deep.replace('1', &("[".repeat(100_000) + &"]".repeat(100_000)));
        assert!(says(&nested).contains("recursion limit"), "{}", says(&nested));
        let huge_name = format!("{{\"{}\": 1}}", "x".repeat(1 << 20));
        assert!(says(&huge_name).len() <= super::super::error::MAX_TEXT);
        for body in [
            "",
            "null",
            "[]",
            "\"\"",
            "1e999",
            "{\"batch\":{\"size\":1e400}}",
            "{\"owner\":{\"teamEmail\":5}}",
        ] {
            assert!(parse::<v3::JobDescriptor>(body.as_bytes()).is_err(), "{body}");
        }
        assert!(parse::<v3::JobDescriptor>(&[0xFF, 0xFE]).is_err());
    }

    #[tokio::test]
    async fn answers_print_defaults_and_64_bit_numbers_as_text() {
        let status = v3::JobStatus {
            timestamp: 1 << 60,
            ..Default::default()
        };
        let body = answer(StatusCode::OK, &status).into_body();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert_eq!(
            bytes,
            r#"{"state":"Accepted","reasonCode":"","reasonMessage":"","timestamp":"1152921504606846976"}"#
        );
    }
}
