//! The server: connecting, calling, and what its refusals mean for a user.

mod failure;
pub(crate) mod pages;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use titus_api::v1::event_service_client::EventServiceClient;
use titus_api::v1::host_service_client::HostServiceClient;
use titus_api::v1::server_service_client::ServerServiceClient;
use titus_api::v1::task_insight_service_client::TaskInsightServiceClient;
use titus_api::v3::job_management_service_client::JobManagementServiceClient;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use crate::config::Config;
use crate::exit::CliError;
use crate::terminal;

pub(crate) use failure::{FieldFault, field_faults};

const CONNECT: Duration = Duration::from_secs(5);

/// The longest wait for an answer, or for a stream to begin.
const ANSWER: Duration = Duration::from_secs(30);

type Wire = InterceptedService<Channel, CallHeaders>;

/// A server that is called on demand.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    addr: String,
    channel: Channel,
    headers: CallHeaders,
}

impl Api {
    /// Connects at the first call.
    pub(crate) fn new(config: &Config) -> Result<Self, CliError> {
        let endpoint = endpoint(&config.addr, config.insecure)?
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .user_agent(concat!("titus-cli/", env!("CARGO_PKG_VERSION")))
            .map_err(|e| bad_address(&config.addr, &e.to_string()))?;
        Ok(Self {
            addr: config.addr.clone(),
            channel: endpoint.connect_lazy(),
            headers: CallHeaders::new(config.reason.as_deref()),
        })
    }

    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    pub(crate) fn jobs(&self) -> JobManagementServiceClient<Wire> {
        JobManagementServiceClient::with_interceptor(self.channel.clone(), self.headers.clone())
            .max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn hosts(&self) -> HostServiceClient<Wire> {
        HostServiceClient::with_interceptor(self.channel.clone(), self.headers.clone())
            .max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn events(&self) -> EventServiceClient<Wire> {
        EventServiceClient::with_interceptor(self.channel.clone(), self.headers.clone())
    }

    pub(crate) fn insight(&self) -> TaskInsightServiceClient<Wire> {
        TaskInsightServiceClient::with_interceptor(self.channel.clone(), self.headers.clone())
    }

    pub(crate) fn server(&self) -> ServerServiceClient<Wire> {
        ServerServiceClient::with_interceptor(self.channel.clone(), self.headers.clone())
    }

    /// Takes a write's answer: calls after it see what it wrote. What the server remarks on the request is said.
    pub(crate) fn written<T>(&self, answer: tonic::Response<T>) -> T {
        if let Some(revision) = answer.metadata().get(REVISION_HEADER) {
            *self.headers.revision() = Some(revision.clone());
        }
        for line in answer.metadata().get_all(WARNING_HEADER) {
            let line = line.to_str().unwrap_or_default();
            if !is_default(line) {
                terminal::say(&format!("warning: {}", terminal::plain(line)));
            }
        }
        answer.into_inner()
    }

    /// What a failed call means; `what` says what was wanted, as `list jobs`.
    pub(crate) fn failed(&self, what: &str) -> impl Fn(tonic::Status) -> CliError {
        let (what, addr) = (what.to_owned(), self.addr.clone());
        move |status| failure::explain(&what, &addr, &status)
    }
}

/// Pages are kept below 4 MiB by servers; one item may be larger than we expect.
const MAX_ANSWER: usize = 16 << 20;

/// The version of a write, which later reads wait for.
const REVISION_HEADER: &str = "x-titus-revision";

/// Remarks on a request that was accepted, one a header.
const WARNING_HEADER: &str = "x-titus-warning";

/// That a default was taken for what was left out is worth no words: it is what leaving out means.
fn is_default(line: &str) -> bool {
    line.contains(": not given: ")
}

/// Who calls and why, as Titus's servers read it, and which writes have to be seen. The name is a claim, nothing more.
#[derive(Debug, Clone)]
pub(crate) struct CallHeaders {
    fixed: MetadataMap,
    revision: Arc<Mutex<Option<AsciiMetadataValue>>>,
}

impl CallHeaders {
    fn new(reason: Option<&str>) -> Self {
        let mut headers = MetadataMap::new();
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = value.parse::<AsciiMetadataValue>() {
                headers.insert(name, value);
            }
        };
        put("x-titus-callertype", "User");
        if let Some(user) = std::env::var("USER").ok().filter(|user| !user.is_empty()) {
            put("x-titus-callerid", &user);
        }
        if let Some(reason) = reason {
            put("x-titus-callreason", reason);
        }
        Self {
            fixed: headers,
            revision: Arc::default(),
        }
    }

    fn revision(&self) -> std::sync::MutexGuard<'_, Option<AsciiMetadataValue>> {
        self.revision.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interceptor for CallHeaders {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(revision) = self.revision().clone() {
            request.metadata_mut().insert(REVISION_HEADER, revision);
        }
        for pair in self.fixed.iter() {
            if let tonic::metadata::KeyAndValueRef::Ascii(name, value) = pair {
                request.metadata_mut().insert(name, value.clone());
            }
        }
        Ok(request)
    }
}

fn endpoint(addr: &str, insecure: bool) -> Result<Endpoint, CliError> {
    if addr.starts_with("https://") {
        return Err(CliError::usage(
            format!("{addr}: this version does not speak TLS"),
            "name a server on this machine, as --addr 127.0.0.1:7104",
        ));
    }
    let bare = addr.strip_prefix("http://").unwrap_or(addr).trim_end_matches('/');
    let endpoint =
        Endpoint::from_shared(format!("http://{bare}")).map_err(|e| bad_address(addr, &e.to_string()))?;
    let uri = endpoint.uri();
    let host = uri.host().unwrap_or("");
    if host.is_empty() || uri.port().is_none() || !matches!(uri.path(), "" | "/") {
        return Err(bad_address(addr, "host and port are expected"));
    }
    if !insecure && !is_loopback(host) {
        return Err(CliError::usage(
            format!("{addr} is another machine, and everything would cross the network in plaintext"),
            "say --insecure if the network between is yours alone",
        ));
    }
    Ok(endpoint)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn bad_address(addr: &str, why: &str) -> CliError {
    CliError::usage(
        format!("{addr:?} is not an address of a server: {why}"),
        "write host and port, as --addr 127.0.0.1:7104",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn addresses_are_host_and_port_with_or_without_the_scheme() {
        for good in [
            "127.0.0.1:7104",
            "http://localhost:1",
            "http://[::1]:7104/",
            "[::1]:7104",
        ] {
            assert!(endpoint(good, false).is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1",
            ":7104",
            "a b:1",
            "http://127.0.0.1:1/api",
            "127.0.0.1:99999",
        ] {
            let refused = endpoint(bad, true).unwrap_err();
            assert_eq!(refused.exit, Exit::Usage, "{bad}");
        }
    }

    #[test]
    fn plaintext_leaves_the_machine_only_when_told_to() {
        for far in ["10.0.0.1:7104", "example.com:7104", "127.0.0.1.example.com:7104"] {
            assert!(endpoint(far, true).is_ok(), "{far}");
            assert_eq!(endpoint(far, false).unwrap_err().exit, Exit::Usage, "{far}");
        }
        assert!(endpoint("https://localhost:7104", true).is_err());
    }

    #[test]
    fn calls_say_who_and_why() {
        let request = CallHeaders::new(Some("a test"))
            .call(tonic::Request::new(()))
            .unwrap();
        let header = |name| request.metadata().get(name).and_then(|v| v.to_str().ok());
        assert_eq!(header("x-titus-callreason"), Some("a test"));
        assert_eq!(header("x-titus-callertype"), Some("User"));
        assert_eq!(header(REVISION_HEADER), None);
    }

    #[tokio::test]
    async fn a_read_waits_for_the_write_before_it() {
        let config = Config {
            addr: "127.0.0.1:1".into(),
            output: None,
            color: crate::cli::Color::Auto,
            reason: None,
            insecure: false,
        };
        let api = Api::new(&config).unwrap();
        let mut answer = tonic::Response::new(7);
        answer
            .metadata_mut()
            .insert(REVISION_HEADER, AsciiMetadataValue::from_static("42"));
        assert_eq!(api.written(answer), 7);
        let request = api.headers.clone().call(tonic::Request::new(())).unwrap();
        assert_eq!(request.metadata().get(REVISION_HEADER).unwrap(), "42");
    }

    #[test]
    fn only_remarks_on_what_was_said_are_passed_on() {
        assert!(is_default("container.resources.shmSizeMB: not given: 64"));
        assert!(!is_default(
            "container.resources.cpu: 0.0015 was rounded up to 0.002"
        ));
    }
}
