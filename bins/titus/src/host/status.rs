//! `titus host status`.

use clap::Args;
use titus_api::v1;

use super::view::{health, room};
use crate::exit::CliError;
use crate::output::time::moment;
use crate::output::units::{cpus, of};
use crate::output::{Facts, Format, Table};
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The host's id
    host: String,
}

pub(crate) async fn run(session: &Session, args: StatusArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let asked = api.hosts().get_host(v1::GetHostRequest { id: args.host }).await;
    let host = asked.map_err(api.failed("find the host"))?.into_inner();
    session
        .printer(Format::Table)
        .show(&host, |_| view(&host), || vec![host.id.clone()])
}

fn view(host: &v1::Host) -> String {
    let mut head = Facts::default();
    head.add("host", &host.id)
        .add("health", health(host))
        .add("since", moment(host.health_since_ms))
        .add("zone", &host.zone)
        .add("type", &host.machine_type)
        .add("runtime", &host.runtime)
        .add("data path", &host.datapath)
        .add("generation", host.generation.to_string());
    let mut text = head.render();
    text += "\n";
    text += &resources(host);
    for (title, table) in [
        ("ATTRIBUTE", attributes(host)),
        ("CONDITION", conditions(host)),
        ("TASK", tasks(host)),
    ] {
        // A table with its header alone says nothing.
        if table.lines().count() > 1 {
            debug_assert!(table.starts_with(title));
            text += "\n";
            text += &table;
        }
    }
    text
}

fn resources(host: &v1::Host) -> String {
    let (used, all) = room(host);
    let mut table = Table::new(&["RESOURCE", "USED/ALL"]);
    for (name, amount) in [
        ("cpu", of(cpus(used.cpu_milli), cpus(all.cpu_milli))),
        ("memory MB", of(used.memory_mb, all.memory_mb)),
        ("disk MB", of(used.disk_mb, all.disk_mb)),
        ("network Mbps", of(used.network_mbps, all.network_mbps)),
        ("addresses", of(used.addresses, all.addresses)),
        ("gpu", of(used.gpu, all.gpu)),
    ] {
        table.row([name.to_owned(), amount]);
    }
    table.render()
}

fn attributes(host: &v1::Host) -> String {
    let mut table = Table::new(&["ATTRIBUTE", "VALUE"]);
    for (name, value) in &host.attributes {
        table.row([name.clone(), value.clone()]);
    }
    table.render()
}

fn conditions(host: &v1::Host) -> String {
    let mut table = Table::new(&["CONDITION", "ACTIVE", "SINCE", "MESSAGE"]);
    for condition in &host.conditions {
        table.row([
            condition.name.clone(),
            condition.active.to_string(),
            moment(condition.since_ms),
            condition.message.clone(),
        ]);
    }
    table.render()
}

fn tasks(host: &v1::Host) -> String {
    let mut table = Table::new(&["TASK"]);
    for task in &host.task_ids {
        table.row([task.clone()]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::view::tests::host;

    #[test]
    fn a_host_shows_what_it_has_and_who_uses_it() {
        let mut one = host("dev-1");
        one.health_since_ms = 1_700_000_000_000;
        one.conditions = vec![v1::HostCondition {
            name: "disk".into(),
            active: true,
            message: "almost full".into(),
            since_ms: 1_700_000_000_000,
        }];
        insta::assert_snapshot!(view(&one));
    }

    #[test]
    fn a_host_of_which_little_is_known_shows_little() {
        insta::assert_snapshot!(view(&v1::Host {
            id: "h".into(),
            ..Default::default()
        }));
    }
}
