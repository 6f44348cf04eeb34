//! `/api/v3`: jobs and tasks.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::{HeaderMap, StatusCode};

use super::query::Query;
use super::{Answer, Id, context, done, found, read, tell};
use crate::server::api::Api;
use crate::server::json;
use crate::v3;

pub(crate) async fn create(State(api): State<Arc<Api>>, headers: HeaderMap, body: Body) -> Answer {
    let context = context(&headers)?;
    let job: v3::JobDescriptor = read(body).await?;
    let reply = api.create_job(&context, job).await?;
    let mut response = json::answer(StatusCode::ACCEPTED, &reply.message);
    tell(&mut response, &reply);
    Ok(response)
}

pub(crate) async fn list(State(api): State<Arc<Api>>, headers: HeaderMap, RawQuery(raw): RawQuery) -> Answer {
    let mut query = Query::parse(raw.as_deref());
    let request = v3::JobQuery {
        page: Some(query.page()?),
        fields: query.fields(),
        filtering_criteria: query.criteria(),
    };
    found(api.find_jobs(&context(&headers)?, request).await)
}

pub(crate) async fn one(State(api): State<Arc<Api>>, headers: HeaderMap, Id(id): Id) -> Answer {
    found(api.find_job(&context(&headers)?, &id).await)
}

pub(crate) async fn kill(State(api): State<Arc<Api>>, headers: HeaderMap, Id(id): Id) -> Answer {
    done(api.kill_job(&context(&headers)?, &id).await)
}

pub(crate) async fn instances(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Id(job_id): Id,
    body: Body,
) -> Answer {
    let update = v3::JobCapacityUpdate {
        job_id,
        capacity: Some(read(body).await?),
    };
    done(api.update_job_capacity(&context(&headers)?, update).await)
}

pub(crate) async fn capacity_attributes(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Id(job_id): Id,
    body: Body,
) -> Answer {
    let update = v3::JobCapacityUpdateWithOptionalAttributes {
        job_id,
        job_capacity_with_optional_attributes: Some(read(body).await?),
    };
    done(api.update_job_capacity_parts(&context(&headers)?, update).await)
}

pub(crate) async fn enable(State(api): State<Arc<Api>>, headers: HeaderMap, Id(id): Id) -> Answer {
    let update = v3::JobStatusUpdate {
        id,
        enable_status: true,
    };
    done(api.update_job_status(&context(&headers)?, &update).await)
}

pub(crate) async fn disable(State(api): State<Arc<Api>>, headers: HeaderMap, Id(id): Id) -> Answer {
    let update = v3::JobStatusUpdate {
        id,
        enable_status: false,
    };
    done(api.update_job_status(&context(&headers)?, &update).await)
}

pub(crate) async fn list_tasks(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Answer {
    let mut query = Query::parse(raw.as_deref());
    let request = v3::TaskQuery {
        page: Some(query.page()?),
        fields: query.fields(),
        filtering_criteria: query.criteria(),
    };
    found(api.find_tasks(&context(&headers)?, request).await)
}

pub(crate) async fn one_task(State(api): State<Arc<Api>>, headers: HeaderMap, Id(id): Id) -> Answer {
    found(api.find_task(&context(&headers)?, &id).await)
}

pub(crate) async fn kill_task(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Id(task_id): Id,
    RawQuery(raw): RawQuery,
) -> Answer {
    let mut query = Query::parse(raw.as_deref());
    let request = v3::TaskKillRequest {
        task_id,
        shrink: query.take_as("shrink", "true or false")?.unwrap_or(false),
        prevent_min_size_update: query
            .take_as("preventMinSizeUpdate", "true or false")?
            .unwrap_or(false),
    };
    query.end()?;
    done(api.kill_task(&context(&headers)?, &request).await)
}
