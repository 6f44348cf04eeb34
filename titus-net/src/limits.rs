//! The bounds of this crate's words, each with the reason for its value.

/// Longest [`NetworkName`](crate::NetworkName). A port's name is the network's name, a dash and up to three
/// digits, and the kernel takes 15 bytes.
pub const NETWORK_NAME_MAX: usize = 8;
/// Longest [`AttachmentId`](crate::AttachmentId) in bytes. It is kept in a link's alias, which takes 255 bytes.
pub const ATTACHMENT_ID_MAX: usize = 128;
/// Shortest prefix of a [`Subnet`](crate::Subnet): 1,021 containers. A bridge of the kernel takes 1,023 ports.
pub const PREFIX_MIN: u8 = 22;
/// Longest prefix of a [`Subnet`](crate::Subnet): five containers.
pub const PREFIX_MAX: u8 = 29;
/// Smallest MTU: what every IPv4 link must carry is 68, but hosts are only obliged to take 576 bytes.
pub const MTU_MIN: u32 = 576;
/// Largest MTU that the kernel gives an Ethernet device.
pub const MTU_MAX: u32 = 65_535;
/// Most entries in each list of a [`Network`](crate::Network) (denied blocks, host services).
pub const LIST_MAX: usize = 64;
