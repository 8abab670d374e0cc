//! Differences between two configurations.

use super::CacheConfig;

impl CacheConfig {
    /// Returns the names of differing settings. A default equals a missing setting.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let table = [
            ("the type", self.mode != other.mode),
            ("mode", self.replication != other.replication),
            ("segments", self.segments != other.segments),
            ("owners", self.owners != other.owners),
            ("statistics", self.statistics != other.statistics),
            ("encoding", self.encoding != other.encoding),
            ("expiration", self.expiration != other.expiration),
            ("memory", self.memory != other.memory),
            ("remote-store", self.remote_store != other.remote_store),
            ("aliases", self.aliases != other.aliases),
            ("key-partitioner", self.key_partitioner != other.key_partitioner),
        ];
        let differing = table.into_iter().filter(|(_, differs)| *differs);
        let mut names: Vec<_> = differing.map(|(what, _)| what.to_owned()).collect();
        let mut kept = self.kept.differences(&other.kept);
        kept.retain(|name| !names.contains(name));
        names.append(&mut kept);
        names
    }
}
