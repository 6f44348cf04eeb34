//! Signs of life of hosts, and what becomes of those that give none.

use super::transact;
use titus_core::host::HostHealth;
use titus_core::id::HostId;
use titus_core::task::lost;

use super::keys;
use super::record::feed;
use super::record::host::DesiredRow;
use super::record::note::Note;
use super::{Cluster, Feed};
use crate::error::Result;
use crate::kv::Read;

/// A host's sign of life, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostAlive {
    /// The host.
    pub host: HostId,
    /// Its recorded health.
    pub health: HostHealth,
    /// Changes with every sign of life; its value means nothing.
    pub beat: u64,
}

/// Tasks lost in one transaction.
const MOST_LOST: usize = 400;

impl Cluster {
    /// Notes that hosts were heard from: one blind transaction for all of them.
    ///
    /// # Errors
    /// The store's.
    pub async fn beat(&self, hosts: &[HostId]) -> Result<()> {
        let beat = u64::try_from(self.clock.now().as_millis()).unwrap_or(0);
        transact!(self, "host beats", |mut tx| {
            for host in hosts {
                tx.set(&keys::host_alive(*host), &beat.to_be_bytes());
            }
            Ok((tx, ()))
        })?;
        Ok(())
    }

    /// The signs of life of all hosts.
    ///
    /// # Errors
    /// The store's.
    pub async fn host_beats(&self) -> Result<Vec<HostAlive>> {
        let tx = self.begin().await?;
        let mut range = keys::hosts().children();
        let mut all: Vec<HostAlive> = Vec::new();
        loop {
            let entries = tx.scan(&range, 4_000, Read::Snapshot).await?;
            let Some(last) = entries.last() else {
                return Ok(all);
            };
            range = range.after(&last.key);
            for entry in &entries {
                let (name, kind) = keys::host_of_key(&entry.key)?;
                let Ok(host) = HostId::new(&name) else { continue };
                if all.last().is_none_or(|last| last.host != host) {
                    all.push(HostAlive {
                        host,
                        health: HostHealth::Ready,
                        beat: 0,
                    });
                }
                let Some(current) = all.last_mut() else { continue };
                match kind.as_str() {
                    "alive" => {
                        let bytes = <[u8; 8]>::try_from(&entry.value[..]).unwrap_or_default();
                        current.beat = u64::from_be_bytes(bytes);
                    }
                    "desired" => current.health = DesiredRow::decode(&entry.value)?.health,
                    _ => {}
                }
            }
        }
    }

    /// Records a host's health; when it is lost, so are its tasks.
    ///
    /// # Errors
    /// The store's.
    pub async fn set_host_health(&self, host: HostId, health: HostHealth, beat: u64) -> Result<()> {
        let now = self.clock.now();
        loop {
            let (more, _) = transact!(self, "host health", |mut tx| {
                let Some(mut row) = tx.desired(host).await? else {
                    return Ok((tx, false));
                };
                // A sign of life that landed meanwhile wins.
                let seen = tx.get(&keys::host_alive(host)).await?;
                if seen.is_some_and(|seen| *seen != beat.to_be_bytes()) {
                    return Ok((tx, false));
                }
                if row.health != health {
                    row.health = health;
                    row.since = now;
                    tx.put_desired(host, &row);
                    tx.feed(Feed::Hosts, &feed::of_host(host));
                    tracing::warn!(%host, ?health, "host's health changed");
                }
                if health != HostHealth::Lost {
                    return Ok((tx, false));
                }
                let on_host = tx.on_host(host).await?;
                let more = on_host.len() > MOST_LOST;
                for (id, shard, job) in on_host.into_iter().take(MOST_LOST) {
                    let Some(old) = tx.task(shard, id).await? else {
                        continue;
                    };
                    let Some(spec) = self.specs.get(&tx, shard, job).await? else {
                        continue;
                    };
                    let Some(new) = lost(&old, now) else { continue };
                    tx.put_task(shard, Some(&old), &new, &spec.resources());
                    let message = format!("host {host} was not heard from");
                    let note = Note {
                        state: new.state,
                        reason: new.reason,
                        message,
                        at: now,
                    };
                    tx.add_note(shard, id, note).await?;
                }
                Ok((tx, more))
            })?;
            if !more {
                return Ok(());
            }
        }
    }
}
