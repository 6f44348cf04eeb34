//! Images of real hosts: this machine's own root, and OCI layouts in a folder.

use async_trait::async_trait;
use titus_agent::images::{ImageError, Images, ReadyImage};
use titus_core::id::TaskId;
use titus_core::spec::ImageRequest;
use titus_isolation::RootFs;

/// Where images come from on this machine.
#[derive(Debug)]
pub(super) struct DevImages {
    pub(super) host_image: bool,
}

#[async_trait]
impl Images for DevImages {
    async fn fetch(&self, image: &ImageRequest, _task: TaskId) -> Result<ReadyImage, ImageError> {
        if image.name == "host" {
            if self.host_image {
                return Ok(ReadyImage::bare(RootFs::Host));
            }
            return Err(ImageError::Unusable(
                "the image `host` is refused here (--no-host-image)".into(),
            ));
        }
        Err(ImageError::Unusable(format!("there is no image {}", image.name)))
    }

    async fn release(&self, _task: TaskId) {}
}
