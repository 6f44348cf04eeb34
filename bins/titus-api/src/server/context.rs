//! What a call tells about itself, by the same headers on gRPC and on REST.

use http::HeaderMap;
use titus_store::Version;

use super::error::ApiError;

/// The longest caller id, request id or reason that is taken, in bytes.
const MAX_ID: usize = 256;
const MAX_REASON: usize = 1_024;

/// Used where a call does not say who makes it.
pub(crate) const UNKNOWN_CALLER: &str = "unknownDirectCaller";

/// The revision of a write's answer, and the one that a read waits for.
pub(crate) const REVISION_HEADER: &str = "x-titus-revision";

/// Who calls, why, and what the answer must include.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// The caller as claimed.
    pub caller: String,
    /// Why the call is made.
    pub reason: String,
    /// Repeating a write with the same key does it once.
    pub request_id: Option<String>,
    /// The read must see this revision.
    pub min_revision: Option<Version>,
}

impl CallContext {
    /// Reads the headers of a call.
    ///
    /// # Errors
    /// A header that is not text, too long, or not a number where one belongs.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, ApiError> {
        let caller = match text(headers, "x-titus-callerid", MAX_ID)? {
            Some(caller) => Some(caller),
            None => text(headers, "x-titus-directcallerid", MAX_ID)?,
        };
        let revision = text(headers, REVISION_HEADER, MAX_ID)?;
        let min_revision = revision
            .map(|r| r.parse().map(Version))
            .transpose()
            .map_err(|_| ApiError::invalid(format!("{REVISION_HEADER} is not a number")))?;
        Ok(Self {
            caller: caller.unwrap_or_else(|| UNKNOWN_CALLER.to_owned()),
            reason: text(headers, "x-titus-callreason", MAX_REASON)?
                .unwrap_or_else(|| "reason not given".to_owned()),
            request_id: text(headers, "x-titus-request-id", MAX_ID)?,
            min_revision,
        })
    }
}

fn text(headers: &HeaderMap, name: &str, max: usize) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let value = value
        .to_str()
        .map_err(|_| ApiError::invalid(format!("{name} is not visible ASCII")))?
        .trim();
    if value.len() > max {
        let given = value.len();
        return Err(ApiError::invalid(format!(
            "{name} has {given} bytes: at most {max} are taken"
        )));
    }
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&'static str, &str)]) -> Result<CallContext, ApiError> {
        let headers = pairs
            .iter()
            .map(|(k, v)| (http::HeaderName::from_static(k), v.parse().unwrap()));
        CallContext::from_headers(&headers.collect())
    }

    #[test]
    fn what_is_said_is_taken_and_what_is_not_has_a_name() {
        let told = context(&[
            ("x-titus-callerid", "spinnaker"),
            ("x-titus-directcallerid", "gate"),
            ("x-titus-callreason", "deploy"),
            ("x-titus-request-id", "r-1"),
            ("x-titus-revision", "17"),
        ])
        .unwrap();
        assert_eq!(
            (told.caller.as_str(), told.reason.as_str()),
            ("spinnaker", "deploy")
        );
        assert_eq!(
            (told.request_id.as_deref(), told.min_revision),
            (Some("r-1"), Some(Version(17)))
        );
        assert_eq!(
            context(&[("x-titus-directcallerid", "gate")]).unwrap().caller,
            "gate"
        );
        let untold = context(&[("x-titus-callerid", " ")]).unwrap();
        assert_eq!(
            (untold.caller.as_str(), untold.reason.as_str()),
            (UNKNOWN_CALLER, "reason not given")
        );
        assert_eq!((untold.request_id, untold.min_revision), (None, None));
    }

    #[test]
    fn hostile_headers_are_refused_by_name() {
        let long = "x".repeat(MAX_ID + 1);
        for (name, value) in [
            ("x-titus-callerid", long.as_str()),
            ("x-titus-request-id", "é"),
            ("x-titus-revision", "-1"),
            ("x-titus-revision", "99999999999999999999"),
        ] {
            assert!(context(&[(name, value)]).unwrap_err().message.starts_with(name));
        }
    }
}
