//! How projectors of this service reach the log.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use projector::BatchLimits;

use crate::config::NatsConfig;
use crate::nats;

/// What the consumer's name ends with beside the live one's.
pub(crate) const BESIDE: &str = "-rebuild";

/// What readings are called that have no name of their own.
pub(crate) const READS: &str = "reads";

/// Where the log is, and who reads it.
#[derive(Clone)]
pub(crate) struct LogAccess {
    nats: NatsConfig,
    consumer: String,
    /// What the inboxes begin with, if it is not the consumer's name that they do.
    inbox: Option<String>,
    limits: BatchLimits,
}

impl LogAccess {
    /// For the read model of a folder, there or not yet, under the name that was given or one of its own.
    pub(crate) fn of(
        nats: NatsConfig,
        consumer: Option<String>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let consumer = match consumer {
            Some(name) => name,
            None => own_consumer_name(folder)?,
        };
        Ok(Self {
            nats,
            consumer,
            inbox: None,
            limits: BatchLimits::default(),
        })
    }

    /// The same, with at most this much memory for rows on the way to the tail.
    pub(crate) fn within(mut self, memory_budget: usize) -> Self {
        self.limits.memory_bytes_max = memory_budget;
        self
    }

    /// To ask the log something, without reading it.
    pub(crate) fn asking(nats: NatsConfig) -> Self {
        Self {
            nats,
            consumer: "profile-projector-asks".to_owned(),
            inbox: None,
            limits: BatchLimits::default(),
        }
    }

    /// To read the log once, under the name that was given or one that no other reading has.
    pub(crate) fn reading(nats: NatsConfig, name: Option<String>) -> Self {
        let inbox = name.is_none().then(|| nats::inbox_of(READS));
        let name = name
            .unwrap_or_else(|| format!("profile-projector-{READS}-{:016x}", rand::random::<u64>()));
        Self {
            nats,
            consumer: name,
            inbox,
            limits: BatchLimits::default(),
        }
    }

    /// How to reach the servers.
    pub(crate) fn nats(&self) -> &NatsConfig {
        &self.nats
    }

    /// The names of the consumers: of the rows that are served, and of what is built beside them.
    pub(crate) fn consumers(&self) -> [String; 2] {
        ["", BESIDE].map(|suffix| format!("{}{suffix}", self.consumer))
    }

    /// For a projector whose consumer's name ends with `suffix`.
    pub(crate) fn projector_config(&self, suffix: &str) -> projector::Config {
        let consumer = format!("{}{suffix}", self.consumer);
        let inbox = self.inbox.clone();
        projector::Config {
            inbox: inbox.unwrap_or_else(|| projector::inbox_prefix(&consumer)),
            servers: self.nats.servers.clone(),
            login: Arc::new(self.nats.clone()),
            api: self.nats.api.clone(),
            stream: self.nats.stream.clone(),
            consumer,
            limits: self.limits,
        }
    }
}

/// The same for every start of one replica, another for every other: of the host and the folder,
/// which one process holds at a time.
fn own_consumer_name(folder: &Path) -> anyhow::Result<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let folder = canonical(folder)?;
    // A release that hashes otherwise leaves a consumer behind that the server removes in minutes.
    let mut hasher = DefaultHasher::new();
    (host.trim(), folder).hash(&mut hasher);
    Ok(format!("profile-projector-{:016x}", hasher.finish()))
}

/// What the folder is called once it is made: links are followed as far as there are any.
fn canonical(folder: &Path) -> anyhow::Result<PathBuf> {
    match folder.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found.with_context(|| format!("{} cannot be found", folder.display())),
    }
    let folder = std::path::absolute(folder)?;
    match (folder.parent(), folder.file_name()) {
        (Some(parent), Some(name)) => Ok(canonical(parent)?.join(name)),
        (Some(_) | None, _) => Ok(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_its_name_before_it_is_made() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        let folder = link.join("a/data");
        let before = own_consumer_name(&folder).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(own_consumer_name(&folder).unwrap(), before);
    }
}
