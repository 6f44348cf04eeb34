//! Why a task waits.

use titus_api::v1;

use crate::api::Api;
use crate::output::time::{now, span};

/// Asks; silence where the server does not know.
pub(crate) async fn ask(api: &Api, task: &str) -> Option<v1::PlacementExplanation> {
    let task = v1::TaskRef {
        task_id: task.to_owned(),
    };
    let answer = api.insight().explain_placement(task).await.ok()?;
    Some(answer.into_inner())
}

/// The explanation as one sentence.
pub(crate) fn sentence(why: &v1::PlacementExplanation) -> String {
    let mut parts = Vec::new();
    if why.not_before_ms > now() {
        parts.push(format!("not before {} from now", span(now(), why.not_before_ms)));
    }
    parts.push(hosts(why));
    if why.queue_length > 0 && why.queue_position > 0 {
        parts.push(format!(
            "place {} of {} in the queue",
            why.queue_position, why.queue_length
        ));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn hosts(why: &v1::PlacementExplanation) -> String {
    if why.looked_ms == 0 && why.rejections.is_empty() {
        return if why.summary.is_empty() {
            "no plan has looked at it yet".to_owned()
        } else {
            why.summary.clone()
        };
    }
    if why.hosts_seen == 0 {
        return "there is no host".to_owned();
    }
    let mut text = format!("{} seen", crate::output::units::count(why.hosts_seen, "host"));
    let mut separator = ": ";
    for rejection in &why.rejections {
        text += separator;
        text += &refusal(rejection);
        separator = ", ";
    }
    if why.feasible_hosts > 0 {
        text += separator;
        text += &format!("{} taken by others first", why.feasible_hosts);
    }
    text
}

fn refusal(rejection: &v1::Rejection) -> String {
    let v1::Rejection {
        hosts,
        reason,
        asked,
        best,
        ..
    } = rejection;
    match (asked, best) {
        (Some(asked), Some(best)) => {
            format!("{hosts} short of {reason} (asks {asked}, best has {best})")
        }
        _ => format!("{hosts} refused for {reason}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn memory(task: &str) -> v1::PlacementExplanation {
        let short = v1::Rejection {
            filter: "resources".into(),
            reason: "memoryMB".into(),
            hosts: 2,
            asked: Some(512),
            best: Some(300),
        };
        let drained = v1::Rejection {
            filter: "available".into(),
            reason: "draining".into(),
            hosts: 1,
            asked: None,
            best: None,
        };
        v1::PlacementExplanation {
            task_id: task.to_owned(),
            hosts_seen: 4,
            rejections: vec![short, drained],
            looked_ms: 1,
            queue_position: 4,
            queue_length: 458,
            feasible_hosts: 1,
            ..Default::default()
        }
    }

    #[test]
    fn every_host_is_accounted_for() {
        assert_eq!(
            sentence(&memory("t")),
            "4 hosts seen: 2 short of memoryMB (asks 512, best has 300), 1 refused for draining, \
             1 taken by others first; place 4 of 458 in the queue"
        );
    }

    #[test]
    fn a_task_that_nobody_looked_at_says_so() {
        let mut why = v1::PlacementExplanation::default();
        assert_eq!(sentence(&why), "no plan has looked at it yet");
        why.summary = "held back".into();
        assert_eq!(sentence(&why), "held back");
        why.looked_ms = 1;
        assert_eq!(sentence(&why), "there is no host");
        why.not_before_ms = now() + 3_600_000;
        assert!(sentence(&why).starts_with("not before "), "{}", sentence(&why));
    }
}
