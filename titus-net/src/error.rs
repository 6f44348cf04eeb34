use std::error::Error as StdError;

use crate::pool::Refusal;
use crate::{AttachmentId, Ipv4Block, NetworkName, Subnet};

/// Everything that can go wrong, split by what the caller does about it.
///
/// An address that cannot be had is [`Error::NoAddress`] here and a plain value, [`Refusal`], in the pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name, an id, a subnet or another setting is malformed: fix the input.
    #[error("{what} {value:?} is not usable: {why}")]
    Invalid {
        /// The setting at fault.
        what: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it and what would be right.
        why: String,
    },

    /// The host already uses the subnet: choose another one.
    #[error("subnet {subnet} overlaps {with} on {device}; choose another subnet")]
    Overlap {
        /// The subnet asked for.
        subnet: Subnet,
        /// The address or route that is already there.
        with: Ipv4Block,
        /// The interface that has it.
        device: String,
    },

    /// A link or a table with our name exists and is not ours: choose another network name, or remove it.
    #[error("{object} exists and was not made by this network; choose another network name, or remove it")]
    Foreign {
        /// The link or table.
        object: String,
    },

    /// The network is not on this host: set it up first.
    #[error("network {network} is not set up on this host; set it up first")]
    NotSetUp {
        /// The network.
        network: NetworkName,
    },

    /// A program that the data path needs is not installed.
    #[error("the program {program} was not found; install the package {package}")]
    MissingProgram {
        /// The program.
        program: &'static str,
        /// The package of Debian, Ubuntu and Fedora that holds it.
        package: &'static str,
    },

    /// The process may not do this: run as root, or with `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`.
    #[error("no permission to {operation}; run as root")]
    Permission {
        /// What was refused.
        operation: String,
        /// The refusal.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The container's network namespace is gone, is not one, or is the host's own: the container cannot be
    /// wired, a new one may be.
    #[error("the network namespace of {id} cannot be used: {why}")]
    Netns {
        /// The attachment.
        id: AttachmentId,
        /// What is wrong with the namespace.
        why: String,
    },

    /// No address is to be had now: wait for a release.
    #[error("no address for {id}: {refusal}")]
    NoAddress {
        /// The attachment.
        id: AttachmentId,
        /// Why, with counts.
        refusal: Refusal,
    },

    /// Another call for the same attachment is under way: call again when it has ended.
    #[error("another call for {id} is under way; call again")]
    Busy {
        /// The attachment.
        id: AttachmentId,
    },

    /// The kernel or a tool refused an operation: it may be tried again, and is worth a look when it stays.
    #[error("could not {operation} {object}")]
    Kernel {
        /// What was tried, a verb.
        operation: &'static str,
        /// The link, address or file that it was tried on.
        object: String,
        /// The refusal.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}
