//! Makes OCI layouts for tests, sound ones and others.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// One layer's archive, in the making.
pub(crate) struct Layer(pub(crate) tar::Builder<Vec<u8>>);

impl Layer {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        self.bytes(path, text.as_bytes(), 0o644)
    }

    pub(crate) fn bytes(mut self, path: &str, bytes: &[u8], mode: u32) -> Self {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(bytes.len() as u64);
        name(&mut header, path);
        self.0.append(&header, bytes).expect("appended");
        self
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.entry(tar::EntryType::Directory, path, "")
    }

    pub(crate) fn symlink(self, path: &str, to: &str) -> Self {
        self.entry(tar::EntryType::Symlink, path, to)
    }

    pub(crate) fn entry(mut self, kind: tar::EntryType, path: &str, to: &str) -> Self {
        let mut header = header(kind, 0o755);
        name(&mut header, path);
        header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        header.set_cksum();
        self.0.append(&header, std::io::empty()).expect("appended");
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0.into_inner().expect("written")
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(0);
    header
}

/// As it stands, where the crate would refuse a name that leads out.
fn name(header: &mut tar::Header, path: &str) {
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
}

/// The host's own shell and what it needs, so that an image can run something.
pub(crate) fn shell() -> Layer {
    let mut files = BTreeSet::new();
    for program in ["/bin/sh", "/bin/cat", "/bin/ls", "/bin/sleep"] {
        let needs = std::process::Command::new("ldd")
            .arg(program)
            .output()
            .expect("ldd runs")
            .stdout;
        let needs = String::from_utf8_lossy(&needs).into_owned();
        files.insert(program.to_owned());
        files.extend(
            needs
                .split_whitespace()
                .filter(|w| w.starts_with('/'))
                .map(str::to_owned),
        );
    }
    let mut layer = Layer::new();
    for file in files {
        let bytes = fs::read(&file).expect("readable");
        layer = layer.bytes(file.trim_start_matches('/'), &bytes, 0o755);
    }
    layer
}

/// Writes a layout with these layers, the lowest first.
pub(crate) struct Layout {
    pub(crate) folder: PathBuf,
    pub(crate) gzip: bool,
    /// Put in the place of the layers' true diff ids.
    pub(crate) diff_ids: Option<Vec<String>>,
    pub(crate) config: String,
}

impl Layout {
    pub(crate) fn at(folder: impl AsRef<Path>) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            gzip: false,
            diff_ids: None,
            config: "{}".to_owned(),
        }
    }

    pub(crate) fn write(&self, layers: &[Vec<u8>]) {
        fs::create_dir_all(self.folder.join("blobs/sha256")).expect("made");
        fs::write(
            self.folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .expect("written");
        let true_ids: Vec<_> = layers.iter().map(|l| digest(l)).collect();
        let ids = self.diff_ids.clone().unwrap_or(true_ids);
        let kind = if self.gzip { "tar+gzip" } else { "tar" };
        let described: Vec<_> = layers
            .iter()
            .map(|layer| {
                self.blob(
                    &format!("application/vnd.oci.image.layer.v1.{kind}"),
                    &self.packed(layer),
                )
            })
            .collect();
        let ids = ids
            .iter()
            .map(|id| format!("\"{id}\""))
            .collect::<Vec<_>>()
            .join(",");
        let config = format!(
            r#"{{"config":{},"rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#,
            self.config
        );
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.as_bytes());
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#,
            described.join(",")
        );
        let manifest = self.blob("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#);
        fs::write(self.folder.join("index.json"), index).expect("written");
    }

    fn packed(&self, layer: &[u8]) -> Vec<u8> {
        if !self.gzip {
            return layer.to_vec();
        }
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(layer).expect("packed");
        packer.finish().expect("packed")
    }

    fn blob(&self, kind: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        fs::write(
            self.folder.join("blobs/sha256").join(&digest["sha256:".len()..]),
            bytes,
        )
        .expect("written");
        format!(
            r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}}}"#,
            bytes.len()
        )
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
