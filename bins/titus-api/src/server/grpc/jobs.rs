//! `JobManagementService` and Titus's `Health`.

use pbjson_types::Empty;
use tonic::{Request, Response, Status, Streaming};

use super::{Grpc, Streamed, answer, not_offered, open, stream, written};
use crate::server::api::unoffered;
use crate::v3::health_server::Health;
use crate::v3::job_management_service_server::JobManagementService;
use crate::v3::{self, JobChangeNotification};

type Answer<T> = Result<Response<T>, Status>;

fn refuse<T>(call: &str) -> Answer<T> {
    Err(not_offered(call, unoffered(call)).into())
}

#[tonic::async_trait]
impl JobManagementService for Grpc {
    type ObserveJobStream = Streamed<JobChangeNotification>;
    type ObserveJobsStream = Streamed<JobChangeNotification>;
    type ObserveJobsWithKeepAliveStream = Streamed<JobChangeNotification>;

    async fn create_job(&self, request: Request<v3::JobDescriptor>) -> Answer<v3::JobId> {
        let (context, job) = open(request)?;
        written(self.0.create_job(&context, job).await)
    }

    async fn update_job_capacity(&self, request: Request<v3::JobCapacityUpdate>) -> Answer<Empty> {
        let (context, update) = open(request)?;
        written(self.0.update_job_capacity(&context, update).await)
    }

    async fn update_job_capacity_with_optional_attributes(
        &self,
        request: Request<v3::JobCapacityUpdateWithOptionalAttributes>,
    ) -> Answer<Empty> {
        let (context, update) = open(request)?;
        written(self.0.update_job_capacity_parts(&context, update).await)
    }

    async fn update_job_status(&self, request: Request<v3::JobStatusUpdate>) -> Answer<Empty> {
        let (context, update) = open(request)?;
        written(self.0.update_job_status(&context, &update).await)
    }

    async fn update_job_processes(&self, _: Request<v3::JobProcessesUpdate>) -> Answer<Empty> {
        refuse("UpdateJobProcesses")
    }

    async fn update_job_disruption_budget(&self, _: Request<v3::JobDisruptionBudgetUpdate>) -> Answer<Empty> {
        refuse("UpdateJobDisruptionBudget")
    }

    async fn update_job_attributes(&self, _: Request<v3::JobAttributesUpdate>) -> Answer<Empty> {
        refuse("UpdateJobAttributes")
    }

    async fn delete_job_attributes(&self, _: Request<v3::JobAttributesDeleteRequest>) -> Answer<Empty> {
        refuse("DeleteJobAttributes")
    }

    async fn find_jobs(&self, request: Request<v3::JobQuery>) -> Answer<v3::JobQueryResult> {
        let (context, query) = open(request)?;
        answer(self.0.find_jobs(&context, query).await)
    }

    async fn find_job(&self, request: Request<v3::JobId>) -> Answer<v3::Job> {
        let (context, job) = open(request)?;
        answer(self.0.find_job(&context, &job.id).await)
    }

    async fn observe_job(&self, request: Request<v3::JobId>) -> Answer<Self::ObserveJobStream> {
        let (context, job) = open(request)?;
        Ok(stream(self.0.observe_job(&context, &job.id).await?))
    }

    async fn observe_jobs(&self, request: Request<v3::ObserveJobsQuery>) -> Answer<Self::ObserveJobsStream> {
        let (context, query) = open(request)?;
        Ok(stream(self.0.observe_jobs(&context, query).await?))
    }

    async fn observe_jobs_with_keep_alive(
        &self,
        _: Request<Streaming<v3::ObserveJobsWithKeepAliveRequest>>,
    ) -> Answer<Self::ObserveJobsWithKeepAliveStream> {
        refuse("ObserveJobsWithKeepAlive")
    }

    async fn kill_job(&self, request: Request<v3::JobId>) -> Answer<Empty> {
        let (context, job) = open(request)?;
        written(self.0.kill_job(&context, &job.id).await)
    }

    async fn find_task(&self, request: Request<v3::TaskId>) -> Answer<v3::Task> {
        let (context, task) = open(request)?;
        answer(self.0.find_task(&context, &task.id).await)
    }

    async fn find_tasks(&self, request: Request<v3::TaskQuery>) -> Answer<v3::TaskQueryResult> {
        let (context, query) = open(request)?;
        answer(self.0.find_tasks(&context, query).await)
    }

    async fn kill_task(&self, request: Request<v3::TaskKillRequest>) -> Answer<Empty> {
        let (context, kill) = open(request)?;
        written(self.0.kill_task(&context, &kill).await)
    }

    async fn update_task_attributes(&self, _: Request<v3::TaskAttributesUpdate>) -> Answer<Empty> {
        refuse("UpdateTaskAttributes")
    }

    async fn delete_task_attributes(&self, _: Request<v3::TaskAttributesDeleteRequest>) -> Answer<Empty> {
        refuse("DeleteTaskAttributes")
    }

    async fn move_task(&self, _: Request<v3::TaskMoveRequest>) -> Answer<Empty> {
        refuse("MoveTask")
    }
}

#[tonic::async_trait]
impl Health for Grpc {
    async fn check(&self, _: Request<v3::HealthCheckRequest>) -> Answer<v3::HealthCheckResponse> {
        answer(Ok(self.0.health()))
    }
}
