//! Images as the executor needs them: a root file system and the image's own settings, pinned for a task.

use std::fmt;

use async_trait::async_trait;
use titus_core::id::TaskId;
use titus_core::spec::ImageRequest;
use titus_isolation::RootFs;

/// An image that is ready on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyImage {
    /// What the container sees as `/`.
    pub rootfs: RootFs,
    /// The image's environment, as `NAME=value`.
    pub env: Vec<(String, String)>,
    /// The image's entry point.
    pub entrypoint: Vec<String>,
    /// The image's command.
    pub command: Vec<String>,
    /// The image's working directory; empty for `/`.
    pub working_dir: String,
    /// The image's user; empty for root.
    pub user: String,
}

impl ReadyImage {
    /// An image without settings of its own.
    #[must_use]
    pub const fn bare(rootfs: RootFs) -> Self {
        Self {
            rootfs,
            env: Vec::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            working_dir: String::new(),
            user: String::new(),
        }
    }
}

/// Why an image is not ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There is no such image, or it is not sound, or it is not allowed: it would fail again.
    #[error("{0}")]
    Unusable(String),
    /// The host failed; the next try may do better.
    #[error("the image could not be made ready")]
    Host(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where images come from.
#[async_trait]
pub trait Images: Send + Sync + fmt::Debug {
    /// Makes an image ready and keeps it so until the task releases it. May be repeated.
    ///
    /// # Errors
    /// [`ImageError`], by whose fault it is.
    async fn fetch(&self, image: &ImageRequest, task: TaskId) -> Result<ReadyImage, ImageError>;

    /// Drops the task's hold on its image.
    async fn release(&self, task: TaskId);
}

/// Images of hosts that only pretend: every name is an image, except one whose tag is `missing`.
#[derive(Debug, Clone, Copy, Default)]
pub struct FakeImages;

#[async_trait]
impl Images for FakeImages {
    async fn fetch(&self, image: &ImageRequest, _task: TaskId) -> Result<ReadyImage, ImageError> {
        if image.tag == "missing" {
            return Err(ImageError::Unusable(format!(
                "there is no image {}:missing on this fake host",
                image.name
            )));
        }
        Ok(ReadyImage::bare(RootFs::Host))
    }

    async fn release(&self, _task: TaskId) {}
}

/// Images of real hosts, from titus-isolation's store.
#[cfg(feature = "sandbox")]
#[derive(Debug, Clone)]
pub struct StoreImages(titus_isolation::image::ImageStore);

#[cfg(feature = "sandbox")]
impl StoreImages {
    /// Images from a store.
    #[must_use]
    pub const fn new(store: titus_isolation::image::ImageStore) -> Self {
        Self(store)
    }
}

#[cfg(feature = "sandbox")]
#[async_trait]
impl Images for StoreImages {
    async fn fetch(&self, image: &ImageRequest, _task: TaskId) -> Result<ReadyImage, ImageError> {
        use titus_isolation::Error;

        let unusable = |e: Error| ImageError::Unusable(e.to_string());
        let wanted = image_name(image).parse().map_err(unusable)?;
        let ready = self.0.prepare(&wanted).await.map_err(|error| match error {
            Error::Image { .. } | Error::Invalid { .. } => unusable(error),
            other => ImageError::Host(Box::new(other)),
        })?;
        Ok(ReadyImage {
            rootfs: ready.rootfs,
            env: ready
                .config
                .env
                .iter()
                .map(|v| (v.name().to_owned(), v.expose().to_owned()))
                .collect(),
            entrypoint: ready.config.entrypoint,
            command: ready.config.cmd,
            working_dir: ready.config.working_dir,
            user: ready.config.user,
        })
    }

    /// Layers stay: each is kept once for all images, and removing unused ones is for a collector that sees all tasks.
    async fn release(&self, _task: TaskId) {}
}

#[cfg(feature = "sandbox")]
fn image_name(image: &ImageRequest) -> String {
    let ImageRequest { name, tag, digest } = image;
    match (tag.as_str(), digest.as_str()) {
        ("", "") => name.clone(),
        (tag, "") => format!("{name}:{tag}"),
        ("", digest) => format!("{name}@{digest}"),
        (tag, digest) => format!("{name}:{tag}@{digest}"),
    }
}
