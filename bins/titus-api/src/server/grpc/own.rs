//! The services of package `titus.v1`.

use tonic::{Request, Response, Status};

use super::{Grpc, Streamed, answer, open, stream};
use crate::v1;
use crate::v1::event_service_server::EventService;
use crate::v1::host_service_server::HostService;
use crate::v1::server_service_server::ServerService;
use crate::v1::task_insight_service_server::TaskInsightService;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl HostService for Grpc {
    async fn list_hosts(&self, request: Request<v1::ListHostsRequest>) -> Answer<v1::ListHostsResponse> {
        let (context, query) = open(request)?;
        answer(self.0.list_hosts(&context, &query).await)
    }

    async fn get_host(&self, request: Request<v1::GetHostRequest>) -> Answer<v1::Host> {
        let (context, host) = open(request)?;
        answer(self.0.get_host(&context, &host.id).await)
    }
}

#[tonic::async_trait]
impl EventService for Grpc {
    type WatchEventsStream = Streamed<v1::Event>;

    async fn watch_events(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Answer<Self::WatchEventsStream> {
        let (context, query) = open(request)?;
        Ok(stream(self.0.watch_events(&context, query).await?))
    }
}

#[tonic::async_trait]
impl TaskInsightService for Grpc {
    type ReadLogsStream = Streamed<v1::LogChunk>;

    async fn read_logs(&self, request: Request<v1::ReadLogsRequest>) -> Answer<Self::ReadLogsStream> {
        let (context, query) = open(request)?;
        Ok(stream(self.0.read_logs(&context, query).await?))
    }

    async fn get_launch_stages(&self, request: Request<v1::TaskRef>) -> Answer<v1::LaunchStages> {
        let (context, task) = open(request)?;
        answer(self.0.launch_stages(&context, &task.task_id).await)
    }

    async fn explain_placement(&self, request: Request<v1::TaskRef>) -> Answer<v1::PlacementExplanation> {
        let (context, task) = open(request)?;
        answer(self.0.explain_placement(&context, &task.task_id).await)
    }

    async fn get_job_warnings(&self, request: Request<v1::JobRef>) -> Answer<v1::Warnings> {
        let (context, job) = open(request)?;
        answer(self.0.job_warnings(&context, &job.job_id).await)
    }
}

#[tonic::async_trait]
impl ServerService for Grpc {
    async fn get_server_status(&self, _: Request<v1::GetServerStatusRequest>) -> Answer<v1::ServerStatus> {
        answer(Ok(self.0.server_status()))
    }
}
