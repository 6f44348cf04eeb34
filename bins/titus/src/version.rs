//! `titus version`: this program's, and the server's where one answers.

use std::time::Duration;

use serde::Serialize;
use titus_api::v1;

use crate::exit::CliError;
use crate::output::{Facts, Format};
use crate::session::Session;

const CLIENT: &str = env!("CARGO_PKG_VERSION");

/// A missing server is no error here, so it is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
struct Versions {
    client: &'static str,
    server: Option<v1::ServerStatus>,
}

pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    let api = session.api()?;
    let mut server = api.server();
    let asked = server.get_server_status(v1::GetServerStatusRequest {});
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    let versions = Versions {
        client: CLIENT,
        server: answer.ok().and_then(Result::ok).map(tonic::Response::into_inner),
    };
    let view = |_| view(&versions, api.addr());
    session
        .printer(Format::Table)
        .show(&versions, view, || vec![CLIENT.to_owned()])
}

fn view(versions: &Versions, addr: &str) -> String {
    let mut facts = Facts::default();
    facts.add("titus", versions.client);
    match &versions.server {
        Some(server) => {
            let what = [&server.store, &server.runtime, &server.data_path];
            let what: Vec<&str> = what
                .into_iter()
                .map(String::as_str)
                .filter(|w| !w.is_empty())
                .collect();
            facts
                .add("server", format!("{} at {addr}", server.version))
                .add("with", what.join(", "))
        }
        None => facts.add("server", format!("none answers at {addr}")),
    };
    facts.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_told_where_both_are_there() {
        let mut versions = Versions {
            client: "0.1.0",
            server: None,
        };
        assert_eq!(
            view(&versions, "h:1"),
            "titus   0.1.0\nserver  none answers at h:1\n"
        );
        versions.server = Some(v1::ServerStatus {
            version: "0.2.0".into(),
            store: "memory".into(),
            runtime: "fake".into(),
            ..Default::default()
        });
        assert_eq!(
            view(&versions, "h:1"),
            "titus   0.1.0\nserver  0.2.0 at h:1\nwith    memory, fake\n"
        );
    }
}
