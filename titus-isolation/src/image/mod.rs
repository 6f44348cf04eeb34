//! Images: found in a folder of OCI layouts and archives, checked digest by digest, unpacked once by layer.
//!
//! An image's bytes are a stranger's. What they say of themselves is checked before it is used, sizes and numbers are
//! bounded, and layers are unpacked by a helper process that is shut into the folder it unpacks to.

mod layout;
mod reference;
mod source;
mod store;
pub(crate) mod unpack;

pub use layout::ImageConfig;
pub use reference::ImageRef;
pub use store::{Image, ImageStore, ImagesConfig};
