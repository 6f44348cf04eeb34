use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{ConfigFile, Descriptor, ImageConfig, Index, Manifest};
use super::reference::{ImageRef, is_sha256};
use super::source::Source;
use super::unpack::{Bounds, Unpack, Unpacked};
use crate::error::Error;
use crate::helper::{self, InitProgram};
use crate::kernel::{Kernel, KernelOp, LinuxKernel};
use crate::spec::RootFs;

/// How an [`ImageStore`] is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImagesConfig {
    /// Folder of unpacked layers, best on the file system of the sandboxes' state. Only root may enter it.
    pub store: PathBuf,
    /// Folder in which images lie as OCI layouts: `NAME/` or `NAME.tar`. `None`: there are none.
    pub images: Option<PathBuf>,
    /// Whether image `host` may be used.
    pub allow_host: bool,
    /// The program that becomes the helper that unpacks.
    pub init: InitProgram,
    /// The most bytes of one unpacked layer.
    pub max_layer_bytes: u64,
    /// The most entries of one layer.
    pub max_layer_entries: u64,
}

impl ImagesConfig {
    /// A store without images and without `host`; layers of at most 16 GiB and 1,000,000 entries.
    pub fn new(store: impl Into<PathBuf>) -> Self {
        Self {
            store: store.into(),
            images: None,
            allow_host: false,
            init: InitProgram::CurrentExe,
            max_layer_bytes: 16 << 30,
            max_layer_entries: 1_000_000,
        }
    }
}

/// An image that is ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// For [`SandboxSpec::rootfs`](crate::SandboxSpec::rootfs).
    pub rootfs: RootFs,
    /// What it says about how to run it.
    pub config: ImageConfig,
    /// Digest of its manifest; `None` for `host`.
    pub digest: Option<String>,
}

/// Finds images and keeps their layers unpacked, each once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageStore {
    config: Arc<ImagesConfig>,
}

/// More layers than any image builder makes.
const MAX_LAYERS: usize = 500;

impl ImageStore {
    /// Opens the store, making its folder and tidying up after a crash.
    pub fn open(config: ImagesConfig) -> Result<Self, Error> {
        let folder = &config.store;
        let failed = |source| Error::kernel("make folder", folder, source);
        // Layers hold set-user-id programs of root: nobody else may come near them.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        let store = Self {
            config: Arc::new(config),
        };
        let _lock = store.lock()?;
        store.tidy()?;
        Ok(store)
    }

    /// Makes an image ready, unpacking the layers that are not there yet. Layers that are cost nothing.
    pub async fn prepare(&self, image: &ImageRef) -> Result<Image, Error> {
        if image.is_host() {
            return self.host(image);
        }
        let (store, image) = (self.clone(), image.clone());
        let done = tokio::task::spawn_blocking(move || store.prepare_blocking(&image)).await;
        done.map_err(|source| Error::kernel("run", "a blocking task", io::Error::other(source)))?
    }

    /// The names in the images' folder, in order, for messages.
    pub fn names(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        if let Some(root) = &self.config.images {
            collect_names(root, "", 0, &mut names);
        }
        if self.config.allow_host {
            names.insert("host".to_owned());
        }
        names.into_iter().collect()
    }

    fn host(&self, image: &ImageRef) -> Result<Image, Error> {
        if !self.config.allow_host {
            let problem = "the host's own files may not be used as an image here; start the agent with \
                           --allow-host-image, or use another image";
            return Err(wrong(image, problem));
        }
        Ok(Image {
            rootfs: RootFs::Host,
            config: ImageConfig::default(),
            digest: None,
        })
    }

    fn prepare_blocking(&self, image: &ImageRef) -> Result<Image, Error> {
        let read = |source: io::Error| wrong(image, source);
        let source = self.find(image)?;
        let descriptor = choose(&source, image).map_err(read)?;
        let manifest: Manifest = json(&source.json(&descriptor).map_err(read)?).map_err(read)?;
        let config: ConfigFile = json(&source.json(&manifest.config).map_err(read)?).map_err(read)?;
        let ids = &config.rootfs.diff_ids;
        if manifest.layers.len() != ids.len() || ids.is_empty() || ids.len() > MAX_LAYERS {
            let text = format!(
                "it has {} layers and names {}; the most is {MAX_LAYERS}",
                manifest.layers.len(),
                ids.len()
            );
            return Err(wrong(image, text));
        }
        let mut layers = Vec::with_capacity(ids.len());
        for (layer, diff_id) in manifest.layers.iter().zip(ids) {
            layers.push(
                self.layer(&source, layer, diff_id)
                    .map_err(|problem| wrong(image, problem))?,
            );
        }
        layers.reverse();
        let mut seen = BTreeSet::new();
        layers.retain(|layer| seen.insert(layer.clone()));
        Ok(Image {
            rootfs: RootFs::Layers(layers),
            config: config.config.into(),
            digest: Some(descriptor.digest),
        })
    }

    fn find(&self, image: &ImageRef) -> Result<Source, Error> {
        let Some(root) = &self.config.images else {
            return Err(wrong(
                image,
                "no folder of images is configured; give the agent one with --images",
            ));
        };
        for path in [
            root.join(image.name()),
            root.join(format!("{}.tar", image.name())),
        ] {
            if let Some(source) = Source::open(&path).map_err(|e| wrong(image, e))? {
                return Ok(source);
            }
        }
        let names = self.names();
        let known = if names.is_empty() {
            "it is empty".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        };
        Err(wrong(
            image,
            format!(
                "it is not in {}; {known}; put an OCI layout there as `{name}/` or `{name}.tar`",
                root.display(),
                name = image.name()
            ),
        ))
    }

    /// The folder of one layer, unpacked now if it was not before.
    fn layer(&self, source: &Source, layer: &Descriptor, diff_id: &str) -> Result<PathBuf, String> {
        let hex = diff_id.strip_prefix("sha256:").filter(|d| is_sha256(d));
        let hex = hex.ok_or_else(|| format!("{diff_id:?} is no sha256 digest"))?;
        // Short, so that the names of many layers fit into one mount option of older kernels.
        let folder = self.config.store.join(&hex[..24]);
        let _lock = self.lock().map_err(|e| e.to_string())?;
        if folder.is_dir() {
            return Ok(folder);
        }
        let new = self.config.store.join(format!(".new-{}", &hex[..24]));
        remove(&new).map_err(|e| e.to_string())?;
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&new)
            .map_err(|e| e.to_string())?;
        let done = self.unpack(source, layer, &new).and_then(|unpacked| {
            if unpacked.blob != layer.digest || unpacked.diff_id != diff_id {
                return Err(format!(
                    "layer {} holds other bytes than its digests say",
                    layer.digest
                ));
            }
            // Whole on disk before it has its name: a layer with a name is never looked into again.
            crate::sys::sync_file_system(&new)
                .and_then(|()| fs::rename(&new, &folder))
                .map_err(|e| e.to_string())
        });
        if done.is_err() {
            let _next_open_tidies = remove(&new);
        }
        done.map(|()| folder)
    }

    fn unpack(&self, source: &Source, layer: &Descriptor, folder: &Path) -> Result<Unpacked, String> {
        let gzip = match layer.media_type.as_str() {
            kind if kind.ends_with("tar+gzip") || kind.ends_with("tar.gzip") => true,
            kind if kind.ends_with(".tar") => false,
            kind => {
                return Err(format!(
                    "layers of type `{kind}` are not known; use gzip or no compression"
                ));
            }
        };
        let part = source.blob(layer).map_err(|e| e.to_string())?;
        let bounds = Bounds {
            bytes: self.config.max_layer_bytes,
            entries: self.config.max_layer_entries,
        };
        let unpack = Unpack {
            folder: folder.to_owned(),
            offset: part.offset,
            length: part.length,
            gzip,
            bounds,
        };
        tracing::debug!(layer = %layer.digest, bytes = part.length, "unpacks a layer");
        helper::unpack(&self.config.init, &unpack, OwnedFd::from(part.file))
            .map_err(|e| e.to_string())?
            .map_err(|problem| format!("layer {}: {problem}", layer.digest))
    }

    fn lock(&self) -> Result<fs::File, Error> {
        let path = self.config.store.join("lock");
        let failed = |source| Error::kernel("lock", &path, source);
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    fn tidy(&self) -> Result<(), Error> {
        let entries = fs::read_dir(&self.config.store);
        let entries = entries.map_err(|source| Error::kernel("list", &self.config.store, source))?;
        let half_made = |e: &fs::DirEntry| e.file_name().to_string_lossy().starts_with(".new-");
        entries
            .flatten()
            .filter(half_made)
            .try_for_each(|e| remove(&e.path()))
    }
}

fn wrong(image: &ImageRef, problem: impl ToString) -> Error {
    Error::Image {
        image: image.to_string(),
        problem: problem.to_string(),
    }
}

fn remove(folder: &Path) -> Result<(), Error> {
    LinuxKernel::new().apply(&KernelOp::RemoveTree {
        path: folder.to_owned(),
    })
}

fn json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

/// The manifest that the name means on this machine: by digest, else by tag, else the only one.
fn choose(source: &Source, image: &ImageRef) -> io::Result<Descriptor> {
    let mut index: Index = json(&source.index()?)?;
    for _ in 0..3 {
        let found = pick(index.manifests, image)?;
        if !found.is_index() {
            return Ok(found);
        }
        index = json(&source.json(&found)?)?;
    }
    Err(super::source::broken("its indexes are nested too deep"))
}

fn pick(manifests: Vec<Descriptor>, image: &ImageRef) -> io::Result<Descriptor> {
    let tags: Vec<_> = manifests
        .iter()
        .filter_map(Descriptor::tag)
        .map(str::to_owned)
        .collect();
    let by_tag = |d: &Descriptor| image.tag().is_none_or(|tag| d.tag().is_none_or(|t| t == tag));
    let wanted = |d: &Descriptor| match image.digest() {
        Some(digest) if d.is_index() || d.digest == digest => true,
        Some(_) => false,
        None => by_tag(d),
    };
    let mut fitting: Vec<_> = manifests.into_iter().filter(wanted).collect();
    let here: Vec<_> = fitting
        .iter()
        .filter(|d| d.is_for_this_machine())
        .cloned()
        .collect();
    if fitting.is_empty() {
        let text = format!("it has no such tag or digest; its tags are: {}", tags.join(", "));
        return Err(super::source::broken(&text));
    }
    match here.len() {
        0 => Err(super::source::broken(
            "it is not made for this machine's architecture",
        )),
        1 => Ok(here.into_iter().next().unwrap_or_else(|| fitting.remove(0))),
        _ => Err(super::source::broken(&format!(
            "it has several manifests; add a tag, one of: {}",
            tags.join(", ")
        ))),
    }
}

fn collect_names(folder: &Path, prefix: &str, depth: usize, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(1_000) {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.join("oci-layout").is_file() {
            names.insert(name);
        } else if let Some(stem) = name.strip_suffix(".tar").filter(|_| path.is_file()) {
            names.insert(stem.to_owned());
        } else if path.is_dir() && depth < 3 {
            collect_names(&path, &format!("{name}/"), depth + 1, names);
        }
    }
}
