//! What a network is: its name, its subnet, what its containers may reach, and the names derived from it.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::limits::{ATTACHMENT_ID_MAX, LIST_MAX, MTU_MAX, MTU_MIN, NETWORK_NAME_MAX};
use crate::{Error, Ipv4Block, Mac, Subnet};

/// What the text that marks a link begins with, whatever the network.
pub(crate) const ALIAS_MARK: &str = "titus-net ";

/// The name of a network, from which every name that it makes on the host is derived: 1 to 8 lower-case
/// letters and digits, the first a letter. Two networks on a host have different names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

impl NetworkName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetworkName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !plain || !begins || text.len() > NETWORK_NAME_MAX {
            let why = format!("use 1 to {NETWORK_NAME_MAX} lower-case letters and digits, a letter first");
            return Err(Error::Invalid {
                what: "network name",
                value: text.to_owned(),
                why,
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The caller's name for one container's place in a network: 1 to 128 letters, digits, `.`, `_` and `-`,
/// the first a letter or digit. It is written on the link and found there after a crash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttachmentId(String);

impl AttachmentId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttachmentId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !plain || !begins || text.len() > ATTACHMENT_ID_MAX {
            let why = format!(
                "use 1 to {ATTACHMENT_ID_MAX} letters, digits, '.', '_' and '-', a letter or digit first"
            );
            return Err(Error::Invalid {
                what: "attachment id",
                value: text.to_owned(),
                why,
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address that belongs to an attachment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The attachment.
    pub id: AttachmentId,
    /// Its address.
    pub address: Ipv4Addr,
}

/// A container's place in a network. All of it follows from the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The attachment.
    pub id: AttachmentId,
    /// The container's address.
    pub address: Ipv4Addr,
    /// The number of leading bits that the subnet's addresses share.
    pub prefix: u8,
    /// The host's address, which the container routes through.
    pub gateway: Ipv4Addr,
    /// The name of the host's end of the link.
    pub port: String,
    /// The hardware address of the container's end, whose name is `eth0`.
    pub mac: Mac,
}

/// A transport protocol of a [`HostService`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A service of the host that containers may reach, at the gateway's address only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostService {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its port.
    pub port: u16,
}

/// One network of containers on a host, checked.
///
/// Containers reach each other and, by NAT, what the host reaches, except the denied blocks (link-local
/// addresses, where clouds keep credentials, unless told otherwise). Of the host itself they reach nothing
/// but the gateway's answer to a ping and the services named here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    name: NetworkName,
    subnet: Subnet,
    mtu: Option<u32>,
    denied: Vec<Ipv4Block>,
    services: Vec<HostService>,
}

impl Network {
    /// A network with the defaults: the MTU of the host's default route, link-local addresses denied, no
    /// service of the host reachable.
    pub fn new(name: NetworkName, subnet: Subnet) -> Self {
        let link_local = Ipv4Block::around(Ipv4Addr::new(169, 254, 0, 0), 16).expect("16 is a prefix");
        Self {
            name,
            subnet,
            mtu: None,
            denied: vec![link_local],
            services: Vec::new(),
        }
    }

    /// Sets the MTU, 576 to 65,535 bytes, instead of taking that of the host's default route.
    pub fn with_mtu(mut self, mtu: u32) -> Result<Self, Error> {
        if !(MTU_MIN..=MTU_MAX).contains(&mtu) {
            let why = format!("use {MTU_MIN} to {MTU_MAX}");
            return Err(Error::Invalid {
                what: "MTU",
                value: mtu.to_string(),
                why,
            });
        }
        self.mtu = Some(mtu);
        Ok(self)
    }

    /// Replaces the blocks that containers cannot reach (at most 64).
    ///
    /// Leaving out `169.254.0.0/16` lets containers read the host's instance metadata, credentials included.
    pub fn with_denied(mut self, denied: Vec<Ipv4Block>) -> Result<Self, Error> {
        self.denied = bounded("denied blocks", denied)?;
        Ok(self)
    }

    /// Names the services of the host that containers may reach at the gateway's address (at most 64).
    pub fn with_services(mut self, services: Vec<HostService>) -> Result<Self, Error> {
        self.services = bounded("host services", services)?;
        Ok(self)
    }

    /// The name.
    pub fn name(&self) -> &NetworkName {
        &self.name
    }

    /// The subnet.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// The MTU, if it was set.
    pub fn mtu(&self) -> Option<u32> {
        self.mtu
    }

    /// The blocks that containers cannot reach.
    pub fn denied(&self) -> &[Ipv4Block] {
        &self.denied
    }

    /// The services of the host that containers may reach.
    pub fn services(&self) -> &[HostService] {
        &self.services
    }

    /// The name of the bridge, as `titus-br`.
    pub fn bridge(&self) -> String {
        format!("{}-br", self.name)
    }

    /// What all ports' names begin with, as `titus-`.
    pub fn port_prefix(&self) -> String {
        format!("{}-", self.name)
    }

    /// The name of the host's end of the link of `address`, as `titus-1f`; `None` for an address that is not
    /// handed out. It holds the offset in the subnet in base 16 and so never equals the bridge's name.
    pub fn port(&self, address: Ipv4Addr) -> Option<String> {
        self.subnet
            .offset(address)
            .map(|offset| format!("{}-{offset:x}", self.name))
    }

    /// The address whose port is `name`, the inverse of [`port`](Self::port).
    pub fn address_of_port(&self, name: &str) -> Option<Ipv4Addr> {
        let digits = name.strip_prefix(&self.port_prefix())?;
        let address = self.subnet.address(u32::from_str_radix(digits, 16).ok()?)?;
        (self.port(address)? == name).then_some(address)
    }

    /// Everything about the place that `lease` stands for; `None` when its address is not handed out here.
    pub fn attachment(&self, lease: &Lease) -> Option<Attachment> {
        Some(Attachment {
            id: lease.id.clone(),
            address: lease.address,
            prefix: self.subnet.prefix(),
            gateway: self.subnet.gateway(),
            port: self.port(lease.address)?,
            mac: Mac::of(lease.address),
        })
    }

    /// That the lease's address is one of this network's, for data paths.
    pub fn check(&self, lease: &Lease) -> Result<(), Error> {
        match self.subnet.offset(lease.address) {
            Some(_) => Ok(()),
            None => Err(Error::Invalid {
                what: "address",
                value: lease.address.to_string(),
                why: format!("network {} hands out addresses of {}", self.name, self.subnet),
            }),
        }
    }

    /// The hardware address of the bridge.
    pub fn gateway_mac(&self) -> Mac {
        Mac::of(self.subnet.gateway())
    }

    /// The text that marks the bridge as this network's.
    pub fn bridge_alias(&self) -> String {
        format!("{ALIAS_MARK}{} {}", self.name, self.subnet)
    }

    /// The text that marks the host's end of a link as the attachment's.
    pub fn port_alias(&self, id: &AttachmentId) -> String {
        format!("{ALIAS_MARK}{} {id}", self.name)
    }

    /// The attachment that a port's alias names.
    pub fn id_of_alias(&self, alias: &str) -> Option<AttachmentId> {
        alias
            .strip_prefix(ALIAS_MARK)?
            .strip_prefix(self.name.as_str())?
            .strip_prefix(' ')?
            .parse()
            .ok()
    }
}

fn bounded<T>(what: &'static str, list: Vec<T>) -> Result<Vec<T>, Error> {
    if list.len() > LIST_MAX {
        let why = format!("at most {LIST_MAX} are taken");
        return Err(Error::Invalid {
            what,
            value: format!("{} of them", list.len()),
            why,
        });
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(subnet: &str) -> Network {
        Network::new("abcdefgh".parse().unwrap(), subnet.parse().unwrap())
    }

    #[test]
    fn names_are_short_and_plain() {
        for name in ["t", "titus0", "abcdefgh"] {
            assert_eq!(name.parse::<NetworkName>().unwrap().as_str(), name);
        }
        for name in ["", "0a", "abcdefghi", "Titus", "a-b", "a b", "ä", "a\"", "a*"] {
            assert!(name.parse::<NetworkName>().is_err(), "{name}");
        }
    }

    #[test]
    fn ids_are_bounded_and_plain() {
        let longest = "a".repeat(ATTACHMENT_ID_MAX);
        for id in ["0", "a.b_c-D", &longest] {
            assert_eq!(id.parse::<AttachmentId>().unwrap().as_str(), id);
        }
        let over = "a".repeat(ATTACHMENT_ID_MAX + 1);
        for id in ["", "-a", ".", "a/b", "a b", "a\n", "a:b", &over] {
            assert!(id.parse::<AttachmentId>().is_err(), "{id}");
        }
    }

    #[test]
    fn link_names_fit_the_kernel_and_lead_back() {
        let network = network("10.0.0.0/22");
        for address in network.subnet().usable() {
            let port = network.port(address).unwrap();
            assert!(port.len() <= 15 && port != network.bridge(), "{port}");
            assert_eq!(network.address_of_port(&port), Some(address));
        }
        assert_eq!(network.port(network.subnet().gateway()), None);
        for name in [
            "abcdefgh-br",
            "abcdefgh-0",
            "abcdefgh-1",
            "abcdefgh-02",
            "abcdefgh-+2",
            "abcdefgh-A",
            "eth0",
        ] {
            assert_eq!(network.address_of_port(name), None, "{name}");
        }
    }

    #[test]
    fn an_alias_names_the_attachment_of_its_own_network_only() {
        let network = network("10.0.0.0/24");
        let id: AttachmentId = "b".repeat(ATTACHMENT_ID_MAX).parse().unwrap();
        let alias = network.port_alias(&id);
        assert!(alias.len() < 256);
        assert_eq!(network.id_of_alias(&alias), Some(id));
        for alias in [
            "",
            "titus-net",
            "titus-net abcdefg x",
            "titus-net abcdefghx",
            "titus-net abcdefgh ../x",
        ] {
            assert_eq!(network.id_of_alias(alias), None, "{alias}");
        }
        assert_eq!(network.id_of_alias(&network.bridge_alias()), None);
    }

    #[test]
    fn lists_and_mtu_are_bounded() {
        let service = HostService {
            protocol: Protocol::Udp,
            port: 53,
        };
        assert!(
            network("10.0.0.0/24")
                .with_services(vec![service; LIST_MAX + 1])
                .is_err()
        );
        assert!(
            network("10.0.0.0/24")
                .with_denied(vec!["1.1.1.1/32".parse().unwrap(); LIST_MAX + 1])
                .is_err()
        );
        assert!(network("10.0.0.0/24").with_mtu(MTU_MIN - 1).is_err());
        assert!(network("10.0.0.0/24").with_mtu(MTU_MAX + 1).is_err());
        assert_eq!(network("10.0.0.0/24").with_mtu(9001).unwrap().mtu(), Some(9001));
    }

    #[test]
    fn link_local_is_denied_unless_told_otherwise() {
        assert_eq!(
            network("10.0.0.0/24").denied(),
            ["169.254.0.0/16".parse().unwrap()]
        );
        assert!(
            network("10.0.0.0/24")
                .with_denied(vec![])
                .unwrap()
                .denied()
                .is_empty()
        );
    }
}
