use std::time::Duration;

use titus_api::server::Bounds;
use titus_api::v3;

use crate::grpc::{batch, service};
use crate::http::{Answer, call, get, send};
use crate::platform::{Options, Platform};

async fn create(platform: &Platform, job: &v3::JobDescriptor) -> String {
    let body = serde_json::to_string(job).unwrap();
    let answer = call(
        platform.address,
        "POST",
        "/api/v3/jobs",
        "content-type: application/json\r\n",
        &body,
    )
    .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(answer.header("x-titus-revision").unwrap().parse::<u64>().unwrap() > 0);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Asks until the answer is as wanted.
async fn until(
    platform: &Platform,
    path: &str,
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    for _ in 0..3_000 {
        let answer = get(platform.address, path).await;
        if answer.status == 200 && wanted(&answer.json()) {
            return answer.json();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!(
        "{path} never answered as wanted: {:?}",
        get(platform.address, path).await
    );
}

fn total(json: &serde_json::Value) -> i64 {
    json["pagination"]["totalItems"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_made_scaled_and_killed_with_curls_means() {
    let platform = Platform::start().await;
    let id = create(&platform, &service("web", 2)).await;
    let started = format!("/api/v3/tasks?jobIds={id}&taskStates=Started&pageSize=100");
    let tasks = until(&platform, &started, |json| total(json) == 2).await;
    let task = tasks["items"][0]["id"].as_str().unwrap().to_owned();

    let job = get(platform.address, &format!("/api/v3/jobs/{id}")).await.json();
    assert_eq!(job["jobDescriptor"]["applicationName"], "web");
    assert_eq!(
        job["jobDescriptor"]["container"]["resources"]["gpu"], 0,
        "defaults are printed"
    );
    assert!(job["version"]["timestamp"].is_string(), "64-bit numbers are text");

    let scaled = call(
        platform.address,
        "PUT",
        &format!("/api/v3/jobs/{id}/instances"),
        "",
        r#"{"min": 1, "desired": 3, "max": 9}"#,
    )
    .await;
    assert_eq!((scaled.status, scaled.body.as_str()), (200, ""));
    until(&platform, &started, |json| total(json) == 3).await;
    let part = call(
        platform.address,
        "PUT",
        &format!("/api/v3/jobs/{id}/capacityAttributes"),
        "",
        r#"{"desired": 4}"#,
    )
    .await;
    assert_eq!(part.status, 200);
    until(&platform, &started, |json| total(json) == 4).await;

    let disabled = call(
        platform.address,
        "POST",
        &format!("/api/v3/jobs/{id}/disable"),
        "",
        "",
    )
    .await;
    assert_eq!(disabled.status, 200);
    let enabled = |json: &serde_json::Value| json["jobDescriptor"]["service"]["enabled"] == false;
    until(&platform, &format!("/api/v3/jobs/{id}"), enabled).await;

    let killed = call(
        platform.address,
        "DELETE",
        &format!("/api/v3/tasks/{task}?shrink=true"),
        "",
        "",
    )
    .await;
    assert_eq!(killed.status, 200);
    until(&platform, &started, |json| total(json) == 3).await;
    let killed = call(platform.address, "DELETE", &format!("/api/v3/jobs/{id}"), "", "").await;
    assert_eq!((killed.status, killed.body.as_str()), (200, ""));
    until(&platform, &started, |json| total(json) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_take_criteria_from_the_query() {
    let platform = Platform::start().await;
    create(&platform, &service("web", 0)).await;
    create(&platform, &service("other", 0)).await;
    let all = until(&platform, "/api/v3/jobs", |json| total(json) == 2).await;
    assert_eq!(
        (total(&all), all["pagination"]["currentPage"]["pageSize"].as_i64()),
        (2, Some(10))
    );
    let web = get(
        platform.address,
        "/api/v3/jobs?attributes=name:web-v001&pageSize=1&fields=status.state",
    )
    .await
    .json();
    assert_eq!(
        (total(&web), web["items"][0]["status"]["state"].as_str()),
        (1, Some("Accepted"))
    );
    assert_eq!(web["items"][0].get("jobDescriptor"), None);
    let bad = get(platform.address, "/api/v3/jobs?color=red").await;
    assert_eq!(bad.status, 400);
    assert!(
        bad.json()["message"]
            .as_str()
            .unwrap()
            .contains("is not a criterion"),
        "{bad:?}"
    );
}

/// Status and message of an error.
fn told(answer: &Answer) -> (u16, String) {
    let json = answer.json();
    assert_eq!(json["statusCode"], answer.status, "{answer:?}");
    assert!(answer.header("x-titus-error").is_some());
    (answer.status, json["message"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_one_form() {
    let platform = Platform::start().await;
    let at = platform.address;
    let post = |body: &'static str| call(at, "POST", "/api/v3/jobs", "", body);
    let (status, message) = told(&post("{\n  \"owner\": 5}").await);
    assert!(status == 400 && message.contains("line 2 column"), "{message}");
    let (status, message) = told(&post("{\"appName\": \"web\"}").await);
    assert!(
        status == 400 && message.contains("unknown field `appName`") && message.contains("applicationName")
    );
    let refused = post("{}").await;
    let (status, message) = told(&refused);
    assert!(status == 400 && message.starts_with("InvalidJob: "), "{message}");
    let fields: Vec<String> = refused.json()["errorDetails"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["field"].as_str().unwrap().to_owned())
        .collect();
    assert!(fields.contains(&"owner.teamEmail".into()), "{fields:?}");

    let nobody = "11111111-1111-4111-8111-111111111111";
    assert_eq!(told(&get(at, &format!("/api/v3/jobs/{nobody}")).await).0, 404);
    assert_eq!(told(&get(at, "/api/v3/jobs/%00%ff").await).0, 400);
    assert_eq!(
        told(&get(at, &format!("/api/v1/tasks/{nobody}/why")).await).0,
        404
    );
    assert_eq!(told(&get(at, "/nothing/here").await).0, 404);
    assert_eq!(told(&call(at, "PATCH", "/api/v3/jobs", "", "").await).0, 405);
    assert_eq!(
        told(&call(at, "POST", "/api/v3/tasks/move", "", "{}").await).0,
        501
    );
    assert_eq!(told(&get(at, "/api/v1/hosts?color=red").await).0, 400);
    assert_eq!(
        told(&get(at, &format!("/api/v1/tasks/{nobody}/logs?follow=maybe")).await).0,
        400
    );
    let id = create(&platform, &batch("sleeps", 1)).await;
    let scaled = call(
        at,
        "PUT",
        &format!("/api/v3/jobs/{id}/instances"),
        "",
        "{\"desired\": 2}",
    )
    .await;
    assert!(told(&scaled).1.starts_with("NotServiceJob: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_and_the_server_lives() {
    let platform = Platform::start().await;
    let at = platform.address;
    let huge = format!("{{\"applicationName\": \"{}\"}}", "x".repeat(5 << 20));
    let answer = call(at, "POST", "/api/v3/jobs", "", &huge).await;
    assert!(answer.status == 413 || answer.status == 0, "{answer:?}");
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(call(at, "POST", "/api/v3/jobs", "", &deep).await.status, 400);
    let secret = call(
        at,
        "POST",
        "/api/v3/jobs",
        "origin: https://evil.example\r\n",
        "{}",
    )
    .await;
    assert_eq!(secret.status, 400);
    assert!(secret.body.contains("web pages"), "{secret:?}");
    for raw in [
        &b"\x00\x01\x02\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v3/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        send(at, raw, None).await;
    }
    let long = format!(
        "GET /api/v3/jobs?{} HTTP/1.1\r\nhost: x\r\n\r\n",
        "a=b&".repeat(100_000)
    );
    send(at, long.as_bytes(), None).await;
    let answer = call(
        at,
        "GET",
        "/api/v3/jobs",
        &format!("x-titus-callerid: {}\r\n", "x".repeat(300)),
        "",
    )
    .await;
    assert_eq!(answer.status, 400);
    assert_eq!(get(at, "/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_body_that_is_no_message_is_the_senders_fault() {
    use tonic::client::Grpc;
    use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
    use tonic::{Code, Status};

    /// Sends bytes as they are.
    #[derive(Default)]
    struct Raw;
    impl Codec for Raw {
        type Encode = Vec<u8>;
        type Decode = Vec<u8>;
        type Encoder = Self;
        type Decoder = Self;
        fn encoder(&mut self) -> Self {
            Self
        }
        fn decoder(&mut self) -> Self {
            Self
        }
    }
    impl Encoder for Raw {
        type Item = Vec<u8>;
        type Error = Status;
        fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
            use prost::bytes::BufMut as _;
            to.put_slice(&item);
            Ok(())
        }
    }
    impl Decoder for Raw {
        type Item = Vec<u8>;
        type Error = Status;
        fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
            use prost::bytes::Buf as _;
            let rest = from.remaining();
            Ok(Some(from.copy_to_bytes(rest).to_vec()))
        }
    }

    let platform = Platform::start().await;
    let mut grpc = Grpc::new(platform.channel().await);
    let deep: Vec<u8> = (0..200).flat_map(|_| [0x6a, 0x7f]).collect();
    for (method, body, code) in [
        ("CreateJob", vec![0xff; 100], Code::InvalidArgument),
        ("CreateJob", deep, Code::InvalidArgument),
        ("CreateJob", vec![0x1a, 0x02, 0xc3, 0x28], Code::InvalidArgument),
        ("FindJobs", vec![0x0a, 0x05, 0x01], Code::InvalidArgument),
        ("CreateJob", vec![0; 5 << 20], Code::OutOfRange),
        ("DropEverything", Vec::new(), Code::Unimplemented),
    ] {
        grpc.ready().await.unwrap();
        let path = format!("/com.netflix.titus.JobManagementService/{method}")
            .parse()
            .unwrap();
        let status = grpc
            .unary(tonic::Request::new(body), path, Raw)
            .await
            .unwrap_err();
        assert_eq!(status.code(), code, "{method}: {status}");
    }
    grpc.ready().await.unwrap();
    let path = "/no.such.Service/Call".parse().unwrap();
    let status = grpc
        .unary(tonic::Request::new(Vec::new()), path, Raw)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_paths_answer_curl() {
    let platform = Platform::start().await;
    let at = platform.address;
    let id = create(&platform, &service("web", 1)).await;
    let started = format!("/api/v3/tasks?jobIds={id}&taskStates=Started");
    let tasks = until(&platform, &started, |json| total(json) == 1).await;
    let task = tasks["items"][0]["id"].as_str().unwrap().to_owned();
    let live = tasks["items"][0]["logLocation"]["liveStream"]["url"]
        .as_str()
        .unwrap();
    assert_eq!(live, format!("http://{at}/api/v1/tasks/{task}/logs?follow=true"));

    let log = get(at, &format!("/api/v1/tasks/{task}/logs?stream=stderr&tail=3")).await;
    let expected = format!(
        "stderr of {task} tail Some(3)\n\n[titus: older parts of this log were rotated away]\nmore\n"
    );
    assert_eq!((log.status, log.body), (200, expected));
    assert_eq!(
        log.headers
            .iter()
            .filter(|(n, v)| n == "x-content-type-options" && v == "nosniff")
            .count(),
        1
    );
    let broken = get(at, &format!("/api/v1/tasks/{task}/logs?tail=0")).await;
    assert_eq!(told(&broken), (503, "NotReady: the host is not reached".into()));

    assert_eq!(
        get(at, "/api/v1/hosts").await.json()["hosts"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(get(at, "/api/v1/hosts/host-0").await.json()["zone"], "zone-a");
    assert_eq!(
        get(at, &format!("/api/v1/tasks/{task}/stages")).await.json()["stages"][0]["name"],
        "queued"
    );
    assert!(get(at, &format!("/api/v1/tasks/{task}/why")).await.json()["summary"].is_string());
    assert!(get(at, &format!("/api/v1/jobs/{id}/warnings")).await.json()["warnings"].is_array());
    assert_eq!(get(at, "/api/v1/status").await.json()["ready"], true);
    assert_eq!(
        get(at, "/version").await.json()["version"],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(get(at, "/api/v3/status").await.json()["status"], "SERVING");

    let events = get(at, &format!("/api/v1/events?after=0&follow=false&jobId={id}")).await;
    let lines: Vec<serde_json::Value> = events
        .body
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines[0]["kind"], "EVENT_KIND_JOB_CREATED");
    assert!(
        lines.iter().all(|line| line["jobId"] == id.as_str()) && lines.len() >= 3,
        "{lines:?}"
    );
    let request = format!(
        "GET /api/v1/events?after={} HTTP/1.1\r\nhost: x\r\n\r\n",
        lines[0]["cursor"].as_str().unwrap()
    );
    let followed = send(at, request.as_bytes(), Some("EVENT_KIND_TASK_CHANGED")).await;
    assert_eq!(followed.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_tell_what_happens() {
    let platform = Platform::with(Options {
        warm: false,
        ..Options::default()
    })
    .await;
    let at = platform.address;
    assert_eq!(get(at, "/livez").await.status, 200);
    let early = get(at, "/readyz?verbose").await;
    assert_eq!(
        (early.status, early.body.contains("[-]view")),
        (503, true),
        "{early:?}"
    );
    assert_eq!(told(&get(at, "/api/v3/jobs").await).0, 503);
    let warm = titus_store::controller::WarmView::load(platform.cluster.clone())
        .await
        .unwrap();
    platform.live.set(std::sync::Arc::new(warm));
    let ready = get(at, "/readyz?verbose").await;
    assert_eq!(
        (ready.status, ready.body.as_str()),
        (200, "[+]view has read the cluster's state\nok\n")
    );
    get(at, "/api/v3/jobs/11111111-1111-4111-8111-111111111111").await;
    get(at, "/some/path/that/is/not/there").await;
    let metrics = get(at, "/metrics").await.body;
    for line in [
        r#"titus_api_requests_total{method="GET /api/v3/jobs/{id}",code="404"} 1"#,
        r#"titus_api_requests_total{method="GET /readyz",code="503"} 1"#,
        r#"titus_api_requests_total{method="GET unknown",code="404"} 1"#,
        "titus_api_requests_in_flight 1",
        "titus_api_connections 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains("titus_api_request_seconds_bucket"), "{metrics}");
    assert!(!metrics.contains("11111111"), "no id is a label");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_the_bounds_is_refused_at_once() {
    let bounds = Bounds {
        calls: 0,
        ..Bounds::default()
    };
    let platform = Platform::with(Options {
        bounds,
        ..Options::default()
    })
    .await;
    let shed = get(platform.address, "/api/v3/jobs").await;
    assert_eq!(told(&shed).0, 429);
    assert_eq!(shed.header("retry-after"), Some("1"));
    let bounds = Bounds {
        connections: 0,
        ..Bounds::default()
    };
    let platform = Platform::with(Options {
        bounds,
        ..Options::default()
    })
    .await;
    assert_eq!(get(platform.address, "/livez").await.status, 0);
    let bounds = Bounds {
        timeout: Duration::ZERO,
        ..Bounds::default()
    };
    let platform = Platform::with(Options {
        bounds,
        ..Options::default()
    })
    .await;
    let half = b"POST /api/v3/jobs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{";
    assert_eq!(send(platform.address, half, None).await.status, 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_idle_connections_and_the_listener() {
    let mut platform = Platform::start().await;
    assert_eq!(get(platform.address, "/livez").await.status, 200);
    platform.stop();
    for _ in 0..1_000 {
        if tokio::net::TcpStream::connect(platform.address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server still listens");
}
