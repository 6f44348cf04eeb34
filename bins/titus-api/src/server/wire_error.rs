//! An error as gRPC and as HTTP carry it.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use tonic::Status;
use tonic::metadata::MetadataValue;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::error::{ApiError, ErrorKind, cut};

/// The error's name and message once more, for clients that read headers.
pub(crate) const ERROR_HEADER: &str = "x-titus-error";

/// The details' share of the 8 KiB, before base64 adds a third.
const MAX_DETAILS: usize = 3_000;

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let text = error.to_string();
        let mut status = if error.violations.is_empty() {
            Self::new(error.kind.code(), text.clone())
        } else {
            Self::with_error_details(error.kind.code(), text.clone(), details(&error))
        };
        if let Ok(value) = MetadataValue::try_from(ascii(&text)) {
            status.metadata_mut().insert(ERROR_HEADER, value);
        }
        status
    }
}

/// Field violations, as many as have room; the last entry says how many are left out.
fn details(error: &ApiError) -> ErrorDetails {
    let mut room = MAX_DETAILS;
    let mut shown = Vec::new();
    for violation in &error.violations {
        let text = cut(format!("{}; {}", violation.message, violation.help), 400);
        let field = cut(violation.field.clone(), 200);
        let cost = text.len() + field.len() + 16;
        if cost > room {
            let left = error.violations.len() - shown.len();
            shown.push(FieldViolation::new("", format!("and {left} more")));
            break;
        }
        room -= cost;
        shown.push(FieldViolation::new(field, text));
    }
    ErrorDetails::with_bad_request(shown)
}

/// Header values are visible ASCII: anything else becomes `?`.
pub(crate) fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect()
}

/// The error as a REST answer: `statusCode`, `message` and, for a request with faults, `errorDetails`.
#[must_use]
pub(crate) fn to_http(error: &ApiError) -> Response<axum::body::Body> {
    let status = error.kind.status();
    let text = error.to_string();
    let details: Vec<serde_json::Value> = error
        .violations
        .iter()
        .map(|v| serde_json::json!({"field": v.field, "message": v.message, "help": v.help}))
        .collect();
    let mut body = serde_json::json!({"statusCode": status.as_u16(), "message": text});
    if !details.is_empty() {
        body["errorDetails"] = details.into();
    }
    let mut response = json_response(status, body.to_string());
    if let Ok(value) = HeaderValue::try_from(ascii(&text)) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(ERROR_HEADER), value);
    }
    if matches!(
        error.kind,
        ErrorKind::JobCreateLimited | ErrorKind::Overloaded | ErrorKind::NotReady
    ) {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pub(crate) fn json_response(status: StatusCode, body: String) -> Response<axum::body::Body> {
    let mut response = Response::new(axum::body::Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use titus_core::spec::{Violation, Violations};

    use super::*;

    fn many() -> ApiError {
        let one = |i: usize| Violation {
            field: format!("container.env.{}{i}", "K".repeat(500)),
            message: "\u{1F600}".repeat(1_000),
            help: "shorten it".into(),
        };
        ApiError::from(Violations((0..100).map(one).collect()))
    }

    #[test]
    fn every_error_fits_the_header_limit_of_clients() {
        let response: Response<()> = Status::from(many()).into_http();
        let size: usize = response
            .headers()
            .iter()
            .map(|(k, v)| k.as_str().len() + v.len() + 32)
            .sum();
        assert!(size <= 8_192, "{size} bytes of headers");
    }

    #[test]
    fn details_name_fields_and_say_how_many_are_left_out() {
        let status = Status::from(many());
        let shown = status.get_details_bad_request().unwrap().field_violations;
        assert!(shown.len() > 2 && shown.len() < 100);
        let last = &shown[shown.len() - 1];
        assert_eq!(last.description, format!("and {} more", 100 - (shown.len() - 1)));
        assert!(shown[0].field.starts_with("container.env.K"));
    }

    #[test]
    fn the_name_opens_the_description_and_the_trailer() {
        let status = Status::from(ApiError::no_job("ä"));
        assert_eq!(status.message(), "JobNotFound: no job has the id \"ä\"");
        let trailer = status.metadata().get(ERROR_HEADER).unwrap();
        assert_eq!(trailer.to_str().unwrap(), "JobNotFound: no job has the id \"?\"");
    }

    #[tokio::test]
    async fn rest_tells_status_message_and_every_field() {
        let response = to_http(&many());
        assert_eq!(response.status(), 400);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["statusCode"], 400);
        assert_eq!(body["errorDetails"].as_array().unwrap().len(), 100);
        assert!(
            body["message"]
                .as_str()
                .unwrap()
                .starts_with("InvalidJob: the job has 100")
        );
        let limited = to_http(&ApiError::new(ErrorKind::JobCreateLimited, "full"));
        assert_eq!(limited.headers()[RETRY_AFTER], "1");
    }
}
