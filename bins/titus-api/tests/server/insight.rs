use std::time::Duration;

use titus_api::v1::event_service_client::EventServiceClient;
use titus_api::v1::host_service_client::HostServiceClient;
use titus_api::v1::server_service_client::ServerServiceClient;
use titus_api::v1::task_insight_service_client::TaskInsightServiceClient;
use titus_api::v3::health_client::HealthClient;
use titus_api::{v1, v3};
use tonic::Code;

use crate::grpc::{Jobs, batch, jobs, next, service, tasks_in};
use crate::platform::{Options, Platform};

#[tokio::test(flavor = "multi_thread")]
async fn why_a_task_waits_adds_up_to_all_hosts() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut insight = TaskInsightServiceClient::new(platform.channel().await);
    let mut huge = service("huge", 2);
    huge.container.as_mut().unwrap().resources.as_mut().unwrap().cpu = 64.0;
    let id = jobs.create_job(huge).await.unwrap().into_inner().id;
    let task = tasks_in(&mut jobs, &id, "Accepted", 2).await.remove(0).id;
    let mut why = v1::PlacementExplanation::default();
    for _ in 0..1_000 {
        why = insight
            .explain_placement(v1::TaskRef {
                task_id: task.clone(),
            })
            .await
            .unwrap()
            .into_inner();
        if why.hosts_seen == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused: u64 = why.rejections.iter().map(|r| r.hosts).sum();
    assert_eq!((why.hosts_seen, refused + why.feasible_hosts), (2, 2), "{why:?}");
    assert_eq!(
        (why.rejections[0].asked, why.rejections[0].best),
        (Some(64_000), Some(8_000))
    );
    assert!(
        (1..=2).contains(&why.queue_position) && why.queue_length == 2,
        "{why:?}"
    );
    assert!(
        why.summary.contains("2 hosts seen") && why.summary.contains("Queue position"),
        "{}",
        why.summary
    );

    let id = jobs.create_job(service("web", 1)).await.unwrap().into_inner().id;
    let running = tasks_in(&mut jobs, &id, "Started", 1).await.remove(0).id;
    let placed = insight
        .explain_placement(v1::TaskRef {
            task_id: running.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    assert!(
        placed.host_id.starts_with("host-") && placed.summary.contains("is Started on host-"),
        "{placed:?}"
    );
    let stages = insight
        .get_launch_stages(v1::TaskRef { task_id: running })
        .await
        .unwrap()
        .into_inner()
        .stages;
    let reached: Vec<&str> = stages
        .iter()
        .filter(|s| s.at_ms > 0)
        .map(|s| s.name.as_str())
        .collect();
    assert!(
        reached.starts_with(&["queued", "placed"]) && reached.contains(&"started"),
        "{reached:?}"
    );
    let warnings = insight
        .get_job_warnings(v1::JobRef { job_id: id })
        .await
        .unwrap()
        .into_inner();
    assert!(
        warnings
            .warnings
            .iter()
            .all(|w| w.kind() == v1::WarningKind::NoEffect),
        "{warnings:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_stream_and_fail_in_words() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut insight = TaskInsightServiceClient::new(platform.channel().await);
    let id = jobs.create_job(service("web", 1)).await.unwrap().into_inner().id;
    let task = tasks_in(&mut jobs, &id, "Started", 1).await.remove(0).id;
    let read = v1::ReadLogsRequest {
        task_id: task.clone(),
        stream: v1::LogStream::Stderr.into(),
        tail_lines: Some(7),
        follow: true,
    };
    let mut log = insight.read_logs(read.clone()).await.unwrap().into_inner();
    let first = next(&mut log).await.unwrap();
    assert_eq!(
        String::from_utf8(first.data).unwrap(),
        format!("stderr of {task} tail Some(7)\n")
    );
    assert!(next(&mut log).await.unwrap().gap);
    assert_eq!(next(&mut log).await.unwrap().data, b"more\n");
    drop(log);
    let unfollowed = v1::ReadLogsRequest {
        follow: false,
        ..read.clone()
    };
    let mut log = insight.read_logs(unfollowed).await.unwrap().into_inner();
    let mut pieces = 0;
    while next(&mut log).await.is_some() {
        pieces += 1;
    }
    assert_eq!(pieces, 3);
    let broken = v1::ReadLogsRequest {
        tail_lines: Some(0),
        ..read.clone()
    };
    let failed = insight
        .read_logs(broken)
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap_err();
    assert_eq!(
        (failed.code(), failed.message()),
        (Code::Unavailable, "NotReady: the host is not reached")
    );
    let no_stream = v1::ReadLogsRequest {
        stream: 9,
        ..read.clone()
    };
    assert_eq!(
        insight.read_logs(no_stream).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let mut huge = service("huge", 1);
    huge.container.as_mut().unwrap().resources.as_mut().unwrap().cpu = 64.0;
    let id = jobs.create_job(huge).await.unwrap().into_inner().id;
    let waiting = tasks_in(&mut jobs, &id, "Accepted", 1).await.remove(0).id;
    let nowhere = v1::ReadLogsRequest {
        task_id: waiting,
        ..read
    };
    assert_eq!(
        insight.read_logs(nowhere).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_where_a_cursor_left_off() {
    let platform = Platform::start().await;
    let mut jobs = jobs(&platform).await;
    let mut events = EventServiceClient::new(platform.channel().await);
    let mut live = events
        .watch_events(v1::WatchEventsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let id = jobs.create_job(batch("ends", 2)).await.unwrap().into_inner().id;
    let mut seen = Vec::new();
    loop {
        let event = next(&mut live).await.unwrap();
        let over = event.kind() == v1::EventKind::JobFinished;
        if event.job_id == id {
            seen.push(event);
        }
        if over {
            break;
        }
    }
    assert_eq!(seen[0].kind(), v1::EventKind::JobCreated);
    assert_eq!(
        seen.iter()
            .filter(|e| e.kind() == v1::EventKind::TaskFinished)
            .count(),
        2
    );
    assert!(seen.is_sorted_by_key(|e| e.revision));

    let middle = seen.len() / 2;
    let after = seen[middle].cursor.clone();
    let rest: Vec<_> = seen
        .iter()
        .filter(|e| e.revision > seen[middle].revision)
        .collect();
    let again = v1::WatchEventsRequest {
        after,
        no_follow: true,
        job_id: id,
        ..Default::default()
    };
    let mut resumed = events.watch_events(again).await.unwrap().into_inner();
    for expected in rest {
        assert_eq!(next(&mut resumed).await.as_ref(), Some(expected));
    }
    let hosts = v1::WatchEventsRequest {
        after: "0".into(),
        no_follow: true,
        host_id: "host-0".into(),
        ..Default::default()
    };
    let mut of_host = events.watch_events(hosts).await.unwrap().into_inner();
    let mut kinds = Vec::new();
    while let Some(event) = next(&mut of_host).await {
        assert_eq!(event.host_id, "host-0");
        kinds.push(event.kind());
    }
    assert!(kinds.contains(&v1::EventKind::HostChanged), "{kinds:?}");
    let bad = v1::WatchEventsRequest {
        after: "yesterday".into(),
        ..Default::default()
    };
    assert_eq!(
        events.watch_events(bad).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_listed_by_pages_and_shown_with_their_tasks() {
    let platform = Platform::with(Options {
        hosts: 5,
        ..Options::default()
    })
    .await;
    let mut jobs = jobs(&platform).await;
    let mut hosts = HostServiceClient::new(platform.channel().await);
    let id = jobs.create_job(service("web", 3)).await.unwrap().into_inner().id;
    let tasks = tasks_in(&mut jobs, &id, "Started", 3).await;
    let (mut names, mut cursor, mut count) = (Vec::new(), String::new(), 0);
    loop {
        let query = v1::ListHostsRequest { page_size: 2, cursor };
        let page = hosts.list_hosts(query).await.unwrap().into_inner();
        assert_eq!(page.total, 5);
        count += page.hosts.iter().map(|h| h.task_count).sum::<u32>();
        names.extend(page.hosts.into_iter().map(|h| h.id));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(
        (names.join(" ").as_str(), count),
        ("host-0 host-1 host-2 host-3 host-4", 3)
    );
    let id = tasks[0].task_context["agent.host"].clone();
    let mut host = v1::Host::default();
    for _ in 0..1_000 {
        let asked = v1::GetHostRequest { id: id.clone() };
        host = hosts.get_host(asked).await.unwrap().into_inner();
        if host.used.is_some_and(|used| used.cpu_milli >= 1_000) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(host.used.is_some_and(|used| used.cpu_milli >= 1_000), "{host:?}");
    assert!(host.task_ids.contains(&tasks[0].id));
    assert_eq!(
        (host.health(), host.capacity.unwrap().cpu_milli),
        (v1::HostHealth::Ready, 8_000)
    );
    assert!(host.generation > 0);
    let none = hosts
        .get_host(v1::GetHostRequest { id: "nowhere".into() })
        .await
        .unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    let bad = v1::ListHostsRequest {
        cursor: "NO HOST".into(),
        ..Default::default()
    };
    assert_eq!(
        hosts.list_hosts(bad).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_reflection_and_status_are_there_before_the_view_is() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient as GrpcHealth};
    let platform = Platform::with(Options {
        warm: false,
        ..Options::default()
    })
    .await;
    let channel = platform.channel().await;
    let mut jobs = Jobs::new(channel.clone());
    let early = jobs
        .find_job(v3::JobId {
            id: "11111111-1111-4111-8111-111111111111".into(),
        })
        .await
        .unwrap_err();
    assert_eq!(early.code(), Code::Unavailable);
    let mut titus = HealthClient::new(channel.clone());
    let ask = v3::HealthCheckRequest::default();
    let status = titus.check(ask.clone()).await.unwrap().into_inner().status();
    assert_eq!(status, v3::health_check_response::ServingStatus::NotServing);
    let mut server = ServerServiceClient::new(channel.clone());
    let status = server
        .get_server_status(v1::GetServerStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!status.ready && status.version == env!("CARGO_PKG_VERSION"));

    let warm = titus_store::controller::WarmView::load(platform.cluster.clone())
        .await
        .unwrap();
    platform.live.set(std::sync::Arc::new(warm));
    let mut grpc = GrpcHealth::new(channel.clone());
    let service = "com.netflix.titus.JobManagementService".to_owned();
    let mut watch = grpc
        .watch(HealthCheckRequest { service })
        .await
        .unwrap()
        .into_inner();
    while next(&mut watch).await.unwrap().status() != ServingStatus::Serving {}
    assert!(
        server
            .get_server_status(v1::GetServerStatusRequest {})
            .await
            .unwrap()
            .into_inner()
            .ready
    );
    let health = titus.check(ask).await.unwrap().into_inner();
    assert_eq!(health.status(), v3::health_check_response::ServingStatus::Serving);

    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_response::MessageResponse};
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut stream = reflection
        .server_reflection_info(tokio_stream::iter([list]))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = next(&mut stream).await.unwrap().message_response
    else {
        panic!("services are listed")
    };
    let names: Vec<String> = list.service.into_iter().map(|s| s.name).collect();
    assert!(
        names.contains(&"com.netflix.titus.JobManagementService".into()),
        "{names:?}"
    );
}
