//! The digest of a launch text: SHA-256 over an encoding of its own, which no serialiser's habits can change.
//!
//! Version 1: the version byte; then each field in the order below, texts and lists by their length as 8 bytes big
//! endian and then their content, numbers as 8 bytes big endian, maps as lists of key and value in order of keys.

use sha2::{Digest, Sha256};

use super::launch::{HostVolume, LaunchSpec};
use super::request::ImageRequest;
use crate::id::SpecDigest;
use crate::resources::Resources;

const VERSION: u8 = 1;

// Every field is named, so that a new one cannot be forgotten here. Adding one raises the version.
pub(super) fn digest(launch: &LaunchSpec) -> SpecDigest {
    let LaunchSpec {
        application,
        image: ImageRequest { name, tag, digest },
        entry_point,
        command,
        env,
        resources,
        shm_mb,
        volumes,
        grace,
    } = launch;
    let mut out = Encoder(Sha256::new_with_prefix([VERSION]));
    for text in [application, name, tag, digest] {
        out.text(text);
    }
    out.texts(entry_point);
    out.texts(command);
    out.length(env.len());
    for (key, value) in env {
        out.text(key);
        out.text(value.expose());
    }
    out.resources(resources);
    out.number(*shm_mb);
    out.length(volumes.len());
    for HostVolume {
        host_path,
        mount_path,
    } in volumes
    {
        out.text(host_path);
        out.text(mount_path);
    }
    out.number(grace.0);
    SpecDigest(out.0.finalize().into())
}

struct Encoder(Sha256);

impl Encoder {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text);
    }

    fn texts(&mut self, texts: &[String]) {
        self.length(texts.len());
        for text in texts {
            self.text(text);
        }
    }

    fn resources(&mut self, resources: &Resources) {
        let Resources {
            cpu_milli,
            memory_mb,
            disk_mb,
            network_mbps,
            addresses,
            gpu,
        } = *resources;
        for amount in [cpu_milli, memory_mb, disk_mb, network_mbps, addresses, gpu] {
            self.number(amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::spec::Secret;
    use crate::time::Millis;

    fn launch() -> LaunchSpec {
        LaunchSpec {
            application: "web".into(),
            image: ImageRequest {
                name: "library/busybox".into(),
                tag: "1.36".into(),
                digest: String::new(),
            },
            entry_point: vec!["/bin/sh".into(), "-c".into()],
            command: vec!["true".into()],
            env: [("A".to_owned(), Secret::new("b"))].into(),
            resources: Resources {
                cpu_milli: 100,
                memory_mb: 64,
                disk_mb: 100,
                network_mbps: 10,
                addresses: 1,
                gpu: 0,
            },
            shm_mb: 64,
            volumes: vec![HostVolume {
                host_path: "/srv".into(),
                mount_path: "/data".into(),
            }],
            grace: Millis::from_secs(10),
        }
    }

    #[test]
    fn the_digest_never_changes() {
        assert_eq!(
            digest(&launch()).to_string(),
            "246b11692e99e510b25611fb25d06f61b44fa262570128a1504863761d96c01b"
        );
    }

    #[test]
    fn every_field_and_every_boundary_counts() {
        let changes: [fn(&mut LaunchSpec); 20] = [
            |_| {},
            |l| l.application.push('x'),
            |l| l.image.name.push('x'),
            |l| l.image.tag.push('x'),
            |l| l.image.digest.push('x'),
            |l| std::mem::swap(&mut l.image.tag, &mut l.image.digest),
            |l| l.entry_point[1].push('x'),
            |l| l.entry_point = vec!["/bin/sh-c".into()],
            |l| l.entry_point.append(&mut l.command),
            |l| l.command.push(String::new()),
            |l| *l.env.get_mut("A").unwrap() = Secret::new("c"),
            |l| l.env = [("AB".to_owned(), Secret::default())].into(),
            |l| l.resources.cpu_milli += 1,
            |l| l.resources.memory_mb += 1,
            |l| std::mem::swap(&mut l.resources.disk_mb, &mut l.resources.network_mbps),
            |l| l.resources.gpu += 1,
            |l| l.resources.addresses += 1,
            |l| l.shm_mb += 1,
            |l| l.volumes.clear(),
            |l| l.grace.0 += 1,
        ];
        let digests: BTreeSet<_> = changes
            .iter()
            .map(|change| {
                let mut changed = launch();
                change(&mut changed);
                digest(&changed)
            })
            .collect();
        assert_eq!(digests.len(), changes.len());
    }
}
