//! What the messages of a host say.

use titus_api::v1;

/// Ready, Silent or Lost; a draining host says so.
pub(super) fn health(host: &v1::Host) -> String {
    let health = match host.health() {
        v1::HostHealth::Ready => "Ready",
        v1::HostHealth::Silent => "Silent",
        v1::HostHealth::Lost => "Lost",
        v1::HostHealth::Unspecified => "unknown",
    };
    if host.draining {
        format!("{health}, draining")
    } else {
        health.to_owned()
    }
}

/// What the host has, and what of it is used.
pub(super) fn room(host: &v1::Host) -> (v1::Resources, v1::Resources) {
    (host.used.unwrap_or_default(), host.capacity.unwrap_or_default())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn host(id: &str) -> v1::Host {
        v1::Host {
            id: id.to_owned(),
            health: v1::HostHealth::Ready.into(),
            capacity: Some(v1::Resources {
                cpu_milli: 8_000,
                memory_mb: 16_000,
                disk_mb: 100_000,
                network_mbps: 1_000,
                gpu: 0,
                addresses: 50,
            }),
            used: Some(v1::Resources {
                cpu_milli: 1_500,
                memory_mb: 512,
                disk_mb: 200,
                network_mbps: 20,
                gpu: 0,
                addresses: 2,
            }),
            zone: "zone-a".into(),
            machine_type: "fake.large".into(),
            runtime: "fake".into(),
            datapath: "fake".into(),
            attributes: [("region".to_owned(), "local".to_owned())].into(),
            generation: 7,
            task_count: 2,
            task_ids: vec!["a".into(), "b".into()],
            ..Default::default()
        }
    }

    #[test]
    fn health_is_told_in_a_word_or_two() {
        let mut one = host("h");
        assert_eq!(health(&one), "Ready");
        one.draining = true;
        assert_eq!(health(&one), "Ready, draining");
        one.health = v1::HostHealth::Lost.into();
        one.draining = false;
        assert_eq!(health(&one), "Lost");
        assert_eq!(health(&v1::Host::default()), "unknown");
    }
}
