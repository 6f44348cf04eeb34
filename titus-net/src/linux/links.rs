use std::fmt;

use futures::TryStreamExt;
use rtnetlink::packet_route::link::{
    BridgePortState, InfoBridgePort, InfoKind, InfoPortData, LinkAttribute, LinkInfo, LinkMessage,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec};

use crate::Error;

/// What this crate reads of a link.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub index: u32,
    pub name: String,
    pub alias: Option<String>,
    pub mac: Vec<u8>,
    pub mtu: u32,
    pub is_bridge: bool,
    /// Whether it is a port whose bridge passes its frames.
    pub forwards: bool,
}

/// The links of one network namespace, over one netlink connection.
#[derive(Clone)]
pub(super) struct Links {
    pub handle: Handle,
}

impl Links {
    /// Connects to the network namespace of this thread. The connection ends with its last handle.
    pub(super) fn open() -> Result<Self, Error> {
        let opened = rtnetlink::new_connection();
        let (connection, handle, _) = opened.map_err(|source| Error::Kernel {
            operation: "open",
            object: "a netlink socket".to_owned(),
            source: source.into(),
        })?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    pub(super) async fn find(&self, name: &str) -> Result<Option<Link>, Error> {
        let request = self.handle.link().get().match_name(name);
        match request.execute().try_next().await {
            Ok(message) => Ok(message.map(Link::from)),
            Err(error) if errno(&error) == libc::ENODEV => Ok(None),
            Err(error) => Err(refused("read link", name, error)),
        }
    }

    pub(super) async fn all(&self) -> Result<Vec<Link>, Error> {
        let dump = self.handle.link().get().execute();
        dump.map_ok(Link::from)
            .try_collect()
            .await
            .map_err(|error| refused("list", "the links", error))
    }

    /// Removes the link if it is there.
    pub(super) async fn remove(&self, name: &str) -> Result<(), Error> {
        let message = LinkMessageBuilder::<LinkUnspec>::new().name(name).build();
        match self.handle.link().del_with_message(message).execute().await {
            Err(error) if errno(&error) != libc::ENODEV => Err(refused("remove link", name, error)),
            _ => Ok(()),
        }
    }

    /// Changes a link that is there.
    pub(super) async fn change(&self, operation: &'static str, message: LinkMessage) -> Result<(), Error> {
        let name = Link::from(message.clone()).name;
        let change = self.handle.link().change(message).execute().await;
        change.map_err(|error| refused(operation, &name, error))
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            ..Self::default()
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
                LinkAttribute::Address(mac) => link.mac = mac,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::LinkInfo(infos) => {
                    link.is_bridge = infos.contains(&LinkInfo::Kind(InfoKind::Bridge));
                    link.forwards = infos.iter().any(is_forwarding);
                }
                _ => {}
            }
        }
        link
    }
}

fn is_forwarding(info: &LinkInfo) -> bool {
    let LinkInfo::PortData(InfoPortData::BridgePort(port)) = info else {
        return false;
    };
    port.contains(&InfoBridgePort::State(BridgePortState::Forwarding))
}

/// The kernel's error number, 0 when the error is not the kernel's.
pub(super) fn errno(error: &rtnetlink::Error) -> i32 {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code().abs(),
        _ => 0,
    }
}

/// A refusal of the kernel in this crate's words.
pub(super) fn refused(operation: &'static str, object: &str, error: rtnetlink::Error) -> Error {
    match errno(&error) {
        libc::EPERM | libc::EACCES => Error::Permission {
            operation: format!("{operation} {object}"),
            source: error.into(),
        },
        _ => Error::Kernel {
            operation,
            object: object.to_owned(),
            source: error.into(),
        },
    }
}
