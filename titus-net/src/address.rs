//! Blocks of IPv4 addresses, the subnet of a network, and hardware addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::Error;
use crate::limits::{PREFIX_MAX, PREFIX_MIN};

/// A block of IPv4 addresses such as `169.254.0.0/16`.
///
/// ```
/// # use titus_net::Ipv4Block;
/// let block: Ipv4Block = "169.254.0.0/16".parse()?;
/// assert!(block.contains("169.254.169.254".parse().unwrap()));
/// # Ok::<(), titus_net::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv4Block {
    base: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Block {
    /// The block of `prefix` leading bits that `address` lies in; `None` for a prefix over 32.
    pub fn around(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then(|| Self {
            base: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)),
            prefix,
        })
    }

    /// The lowest address.
    pub fn base(&self) -> Ipv4Addr {
        self.base
    }

    /// The number of leading bits that all addresses share.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.base.to_bits()
    }

    /// Whether the two blocks share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Ipv4Block {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Invalid {
            what: "address block",
            value: text.to_owned(),
            why,
        };
        let (address, prefix) = text
            .split_once('/')
            .ok_or_else(|| wrong("write ADDRESS/PREFIX, as 10.88.0.0/24".to_owned()))?;
        let address: Ipv4Addr = address
            .parse()
            .map_err(|_| wrong(format!("{address:?} is no IPv4 address")))?;
        let block = prefix
            .parse()
            .ok()
            .and_then(|prefix| Self::around(address, prefix));
        let block = block.ok_or_else(|| wrong("the prefix is a number from 0 to 32".to_owned()))?;
        if block.base != address {
            return Err(wrong(format!("it has host bits set; write {block}")));
        }
        Ok(block)
    }
}

impl fmt::Display for Ipv4Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Debug for Ipv4Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The block that a network's addresses come from, /22 to /29.
///
/// The first address names the network, the second is the gateway (an address of the host), the last is the
/// broadcast address; all others may be handed out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet(Ipv4Block);

impl Subnet {
    /// Checks the size of `block`, and that it is made of ordinary unicast addresses.
    pub fn new(block: Ipv4Block) -> Result<Self, Error> {
        let wrong = |why: String| {
            Err(Error::Invalid {
                what: "subnet",
                value: block.to_string(),
                why,
            })
        };
        if !(PREFIX_MIN..=PREFIX_MAX).contains(&block.prefix) {
            return wrong(format!("the prefix is from /{PREFIX_MIN} to /{PREFIX_MAX}"));
        }
        let base = block.base;
        if base.is_loopback() || base.is_link_local() || base.octets()[0] == 0 || base.octets()[0] >= 224 {
            return wrong("containers need ordinary addresses, as 10.88.0.0/24".to_owned());
        }
        Ok(Self(block))
    }

    /// The addresses as a block.
    pub fn block(&self) -> Ipv4Block {
        self.0
    }

    /// The number of leading bits that all addresses share.
    pub fn prefix(&self) -> u8 {
        self.0.prefix
    }

    /// The host's own address in the subnet, which containers route through.
    pub fn gateway(&self) -> Ipv4Addr {
        self.at(1)
    }

    /// The addresses that may be handed out, lowest first.
    pub fn usable(&self) -> impl DoubleEndedIterator<Item = Ipv4Addr> + use<> {
        let subnet = *self;
        (2..self.size() - 1).map(move |offset| subnet.at(offset))
    }

    /// How many addresses may be handed out.
    pub fn capacity(&self) -> usize {
        usize::try_from(self.size() - 3).expect("at most 1,021")
    }

    /// The place of a usable address in the subnet, 2 or more; `None` for any other address.
    pub fn offset(&self, address: Ipv4Addr) -> Option<u32> {
        let offset = address.to_bits().checked_sub(self.0.base.to_bits())?;
        (2..self.size() - 1).contains(&offset).then_some(offset)
    }

    /// The usable address at `offset`, the inverse of [`offset`](Self::offset).
    pub fn address(&self, offset: u32) -> Option<Ipv4Addr> {
        (2..self.size() - 1).contains(&offset).then(|| self.at(offset))
    }

    fn size(&self) -> u32 {
        1 << (32 - self.0.prefix)
    }

    fn at(&self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.0.base.to_bits() + offset)
    }
}

impl FromStr for Subnet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text.parse()?)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The hardware address that belongs to an IPv4 address: locally administered, `02:74` and the address.
    /// Being a function of the address, it needs no table, and the rules for all of them can be written at once.
    pub fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x74, a, b, c, d])
    }

    /// The six octets.
    pub fn octets(&self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn blocks_parse_and_print() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.7/32"] {
            assert_eq!(text.parse::<Ipv4Block>().unwrap().to_string(), text);
        }
        for text in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0/8",
            "10.0.0.0/-1",
            "/8",
            "::/0",
            "",
        ] {
            let error = text.parse::<Ipv4Block>().unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn host_bits_are_named_with_the_fix() {
        let error = "10.1.2.3/24".parse::<Ipv4Block>().unwrap_err().to_string();
        assert!(error.contains("write 10.1.2.0/24"), "{error}");
    }

    #[test]
    fn blocks_overlap_both_ways() {
        let wide: Ipv4Block = "10.0.0.0/8".parse().unwrap();
        let narrow: Ipv4Block = "10.88.0.0/24".parse().unwrap();
        let beside: Ipv4Block = "10.88.1.0/24".parse().unwrap();
        assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide) && narrow.overlaps(&narrow));
        assert!(!narrow.overlaps(&beside) && !beside.overlaps(&narrow));
        assert!(
            Ipv4Block::around(Ipv4Addr::UNSPECIFIED, 0)
                .unwrap()
                .contains(Ipv4Addr::BROADCAST)
        );
    }

    #[test]
    fn a_subnet_keeps_three_addresses_back() {
        let subnet = subnet("10.88.0.0/29");
        let usable: Vec<_> = subnet.usable().map(|address| address.to_string()).collect();
        assert_eq!(
            usable,
            ["10.88.0.2", "10.88.0.3", "10.88.0.4", "10.88.0.5", "10.88.0.6"]
        );
        assert_eq!(subnet.gateway().to_string(), "10.88.0.1");
        assert_eq!(subnet.capacity(), 5);
    }

    #[test]
    fn offsets_are_those_of_usable_addresses_only() {
        let subnet = subnet("10.88.0.0/24");
        for outside in [
            "10.88.0.0",
            "10.88.0.1",
            "10.88.0.255",
            "10.88.1.2",
            "10.87.255.255",
            "0.0.0.0",
        ] {
            assert_eq!(subnet.offset(outside.parse().unwrap()), None, "{outside}");
        }
        for address in subnet.usable() {
            assert_eq!(subnet.address(subnet.offset(address).unwrap()), Some(address));
        }
        assert_eq!((subnet.address(1), subnet.address(255)), (None, None));
    }

    #[test]
    fn odd_subnets_are_refused() {
        for text in [
            "10.0.0.0/21",
            "10.0.0.0/30",
            "127.0.0.0/24",
            "169.254.0.0/16",
            "224.0.0.0/24",
            "0.0.0.0/24",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
        assert_eq!(subnet("172.16.0.0/22").capacity(), 1_021);
    }

    #[test]
    fn a_mac_is_unicast_local_and_readable() {
        let mac = Mac::of("10.88.0.5".parse().unwrap());
        assert_eq!(mac.to_string(), "02:74:0a:58:00:05");
        assert_eq!(mac.octets()[0] & 0b11, 0b10);
    }
}
