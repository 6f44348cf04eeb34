//! `titus host list`.

use titus_api::v1;

use super::view::{health, room};
use crate::api::Api;
use crate::exit::CliError;
use crate::output::units::{cpus, of};
use crate::output::{Format, Table};
use crate::session::Session;

pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    let found = all(&session.api()?).await?;
    session.printer(Format::Table).show(
        &found,
        |wide| table(&found.hosts, wide),
        || found.hosts.iter().map(|host| host.id.clone()).collect(),
    )
}

async fn all(api: &Api) -> Result<v1::ListHostsResponse, CliError> {
    let (mut hosts, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = v1::ListHostsRequest { page_size: 0, cursor };
        let asked = api.hosts().list_hosts(request).await;
        let page = asked.map_err(api.failed("list hosts"))?.into_inner();
        hosts.extend(page.hosts);
        if page.next_cursor.is_empty() {
            return Ok(v1::ListHostsResponse {
                total: u32::try_from(hosts.len()).unwrap_or(u32::MAX),
                hosts,
                next_cursor: String::new(),
            });
        }
        cursor = page.next_cursor;
    }
}

fn table(hosts: &[v1::Host], wide: bool) -> String {
    let mut header = vec!["ID", "HEALTH", "ZONE", "TASKS", "CPU", "MEMORY MB", "RUNTIME"];
    if wide {
        header.extend(["DISK MB", "NETWORK MBPS", "ADDRESSES", "GPU", "TYPE", "DATA PATH"]);
    }
    let mut table = Table::new(&header);
    for host in hosts {
        let (used, all) = room(host);
        let mut row = vec![
            host.id.clone(),
            health(host),
            host.zone.clone(),
            host.task_count.to_string(),
            of(cpus(used.cpu_milli), cpus(all.cpu_milli)),
            of(used.memory_mb, all.memory_mb),
            host.runtime.clone(),
        ];
        if wide {
            row.extend([
                of(used.disk_mb, all.disk_mb),
                of(used.network_mbps, all.network_mbps),
                of(used.addresses, all.addresses),
                of(used.gpu, all.gpu),
                host.machine_type.clone(),
                host.datapath.clone(),
            ]);
        }
        table.row(row);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::view::tests::host;

    #[test]
    fn hosts_are_one_line_each() {
        let hosts = [host("dev-1"), v1::Host::default()];
        insta::assert_snapshot!(table(&hosts, false));
        insta::assert_snapshot!(table(&hosts, true));
    }
}
