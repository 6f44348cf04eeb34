//! A host's records: what it is, and what is wanted of it.

use titus_core::host::{HostDesired, HostHealth, HostSpec};
use titus_core::id::HostId;
use titus_core::resources::Resources;
use titus_core::time::Timestamp;

use crate::codec::{Reader, Writer, decode_message, encode_message};
use crate::error::{Error, RecordProblem, Result};

const SPEC_VERSION: u8 = 1;
const DESIRED_VERSION: u8 = 1;

/// The part of a host that plans, expiry and operators write; a fixed-width record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DesiredRow {
    /// What is wanted.
    pub desired: HostDesired,
    /// How the host is doing.
    pub health: HostHealth,
    /// Since when.
    pub since: Timestamp,
}

impl DesiredRow {
    /// The row of a host that has just registered.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            desired: HostDesired::default(),
            health: HostHealth::Ready,
            since: now,
        }
    }

    /// Writes the record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(DESIRED_VERSION);
        w.u64(self.desired.generation);
        let used = &self.desired.used;
        w.u64(used.cpu_milli).u64(used.memory_mb).u64(used.disk_mb);
        w.u64(used.network_mbps).u64(used.addresses).u64(used.gpu);
        w.u8(u8::from(self.desired.draining))
            .u8(self.health as u8)
            .i64(self.since.as_millis());
        w.finish()
    }

    /// Reads the record.
    ///
    /// # Errors
    /// [`Error::Record`] when it is damaged or of an unknown version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (_, mut r) = Reader::open("host desired", &[DESIRED_VERSION], bytes)?;
        let generation = r.u64()?;
        let used = Resources {
            cpu_milli: r.u64()?,
            memory_mb: r.u64()?,
            disk_mb: r.u64()?,
            network_mbps: r.u64()?,
            addresses: r.u64()?,
            gpu: r.u64()?,
        };
        let draining = r.u8()? != 0;
        let health = match r.u8()? {
            0 => HostHealth::Ready,
            1 => HostHealth::Silent,
            2 => HostHealth::Lost,
            _ => return Err(r.invalid("health")),
        };
        let since = Timestamp::from_millis(r.i64()?);
        r.finish()?;
        Ok(Self {
            desired: HostDesired {
                generation,
                used,
                draining,
            },
            health,
            since,
        })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct SpecRow {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(uint64, repeated, tag = "2")]
    capacity: Vec<u64>,
    #[prost(string, tag = "3")]
    zone: String,
    #[prost(string, tag = "4")]
    machine_type: String,
    #[prost(string, tag = "5")]
    runtime: String,
    #[prost(string, tag = "6")]
    datapath: String,
    #[prost(btree_map = "string, string", tag = "7")]
    attributes: std::collections::BTreeMap<String, String>,
}

/// Writes a host's own description.
#[must_use]
pub fn encode_spec(spec: &HostSpec) -> bytes::Bytes {
    let c = &spec.capacity;
    let row = SpecRow {
        id: spec.id.to_string(),
        capacity: vec![
            c.cpu_milli,
            c.memory_mb,
            c.disk_mb,
            c.network_mbps,
            c.addresses,
            c.gpu,
        ],
        zone: spec.zone.clone(),
        machine_type: spec.machine_type.clone(),
        runtime: spec.runtime.clone(),
        datapath: spec.datapath.clone(),
        attributes: spec.attributes.clone(),
    };
    encode_message(SPEC_VERSION, &row)
}

/// Reads it.
///
/// # Errors
/// [`Error::Record`] when it is damaged or of an unknown version.
pub fn decode_spec(bytes: &[u8]) -> Result<HostSpec> {
    let row: SpecRow = decode_message("host spec", SPEC_VERSION, bytes)?;
    let invalid = |field| Error::Record {
        record: "host spec",
        problem: RecordProblem::Field(field),
    };
    let id = HostId::new(&row.id).map_err(|_| invalid("id"))?;
    let amount = |at: usize| row.capacity.get(at).copied().unwrap_or(0);
    Ok(HostSpec {
        id,
        capacity: Resources {
            cpu_milli: amount(0),
            memory_mb: amount(1),
            disk_mb: amount(2),
            network_mbps: amount(3),
            addresses: amount(4),
            gpu: amount(5),
        },
        zone: row.zone,
        machine_type: row.machine_type,
        runtime: row.runtime,
        datapath: row.datapath,
        attributes: row.attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        let used = Resources {
            cpu_milli: 1,
            memory_mb: 2,
            disk_mb: 3,
            network_mbps: 4,
            addresses: 5,
            gpu: 6,
        };
        let row = DesiredRow {
            desired: HostDesired {
                generation: 9,
                used,
                draining: true,
            },
            health: HostHealth::Lost,
            since: Timestamp::from_millis(-4),
        };
        assert_eq!(DesiredRow::decode(&row.encode()).unwrap(), row);
        let spec = HostSpec {
            id: HostId::new("h-1").unwrap(),
            capacity: used,
            zone: "a".into(),
            machine_type: "m".into(),
            runtime: "sandbox".into(),
            datapath: "bridge".into(),
            attributes: [("k".to_owned(), "v".to_owned())].into(),
        };
        assert_eq!(decode_spec(&encode_spec(&spec)).unwrap(), spec);
        assert!(decode_spec(b"\x09").is_err());
        assert!(DesiredRow::decode(&[1, 2]).is_err());
    }
}
