//! Hosts, as operators see them.

use titus_core::host::HostRecord;
use titus_core::id::{HostId, TaskId};
use titus_core::view::ClusterView;

use super::Api;
use super::write::store_failed;
use crate::convert::host_to_proto;
use crate::server::context::CallContext;
use crate::server::error::{ApiError, ErrorKind};
use crate::v1;

/// The most hosts on one page, and what is sent where no number is asked for.
const MAX_PAGE: u32 = 1_000;

impl Api {
    /// A page of the hosts, by name; their tasks are counted and not listed.
    ///
    /// # Errors
    /// A cursor that is not one of ours; a server that is not ready.
    pub async fn list_hosts(
        &self,
        context: &CallContext,
        request: &v1::ListHostsRequest,
    ) -> Result<v1::ListHostsResponse, ApiError> {
        let after = (!request.cursor.is_empty())
            .then(|| host_id(&request.cursor))
            .transpose()?;
        let size = match request.page_size {
            0 => MAX_PAGE,
            asked => asked.min(MAX_PAGE),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let warm = self.fresh(context).await?;
        let (mut hosts, total) = warm.with(|view| {
            let page = view.hosts_after(after).take(size + 1);
            let hosts = page.map(|host| v1::Host {
                task_ids: Vec::new(),
                ..show(view, host)
            });
            (hosts.collect::<Vec<_>>(), view.hosts().count())
        });
        let more = hosts.len() > size;
        hosts.truncate(size);
        let last = hosts.last().filter(|_| more);
        Ok(v1::ListHostsResponse {
            next_cursor: last.map_or_else(String::new, |host| host.id.clone()),
            hosts,
            total: u32::try_from(total).unwrap_or(u32::MAX),
        })
    }

    /// One host with its tasks.
    ///
    /// # Errors
    /// A host that nobody knows; a server that is not ready.
    pub async fn get_host(&self, context: &CallContext, id: &str) -> Result<v1::Host, ApiError> {
        let id = host_id(id)?;
        let warm = self.fresh(context).await?;
        let host = warm.with(|view| view.host(id).map(|host| show(view, host)));
        let message = || format!("no host has the name {:?}", id.as_str());
        let mut host = host.ok_or_else(|| ApiError::new(ErrorKind::HostNotFound, message()))?;
        let wanted = self
            .parts
            .cluster
            .directive(id)
            .await
            .map_err(|e| store_failed(&e))?;
        host.generation = wanted.generation;
        Ok(host)
    }
}

/// A host with its tasks and the room that they hold, as the view knows them.
fn show(view: &ClusterView, host: &HostRecord) -> v1::Host {
    let id = host.spec.id;
    let tasks: Vec<TaskId> = view.tasks_on_host(id).iter().map(|task| task.id).collect();
    host_to_proto(host, &tasks, &view.used_on_host(id))
}

fn host_id(text: &str) -> Result<HostId, ApiError> {
    HostId::new(text).map_err(|e| ApiError::invalid(e.to_string()))
}
