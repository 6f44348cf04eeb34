//! What `titus dev` says about itself.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use titus_api::server::Live;

use super::args::DevArgs;
use super::host::{DevHost, Kind};
use super::state::StateDir;

/// Waits until everything is ready, then says where it is and what to type next.
pub(super) async fn ready(
    args: &DevArgs,
    kind: Kind,
    state: &StateDir,
    address: SocketAddr,
    hosts: &[DevHost],
    live: &Arc<Live>,
) {
    let ready = || {
        live.get()
            .is_some_and(|warm| warm.with(|view| view.hosts().count()) >= hosts.len())
    };
    while !ready() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let kept = if state.is_temporary() {
        "temporary, goes with this process"
    } else {
        "kept"
    };
    let mut lines = vec![
        format!(
            "titus {}  dev mode: plaintext on loopback, not for production",
            env!("CARGO_PKG_VERSION")
        ),
        format!("  API       http://{address}  (gRPC and REST; /livez /readyz /metrics)"),
        format!("  state     {}  ({kept})", state.path().display()),
        format!("  runtime   {}", kind.runtime()),
        format!("  data path {}", datapath(args, kind)),
        format!(
            "  hosts     {}",
            hosts
                .iter()
                .map(|h| h.spec.id.to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    ];
    if kind == Kind::Fake {
        lines.push(
            "  Nothing really runs: fake hosts only pretend. As root, titus dev runs real containers,".into(),
        );
        lines.push("  each with its own address, limits and logs.".into());
    }
    let addr = if address.port() == 7104 {
        String::new()
    } else {
        format!("export TITUS_ADDR={address}; ")
    };
    lines.push(format!(
        "Next:  {addr}titus job init > job.yaml && titus job run job.yaml --watch"
    ));
    say(&lines.join("\n"));
}

fn datapath(args: &DevArgs, kind: Kind) -> String {
    match kind {
        Kind::Real => format!("bridge {}-br, addresses {}", args.network, args.subnet),
        Kind::Fake => "fake".into(),
    }
}

pub(super) fn stopping() {
    say("stopping");
}

/// Nobody may be reading; the platform runs all the same.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _unread = writeln!(out, "{text}").and_then(|()| out.flush());
}
