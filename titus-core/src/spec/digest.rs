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
