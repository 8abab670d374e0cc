//! Combines several files.

use std::collections::HashMap;

use super::{LimitsFile, MigrationFile, ServerFile};
use crate::{CacheConfig, CacheName};

impl ServerFile {
    /// Overrides these settings by those of another file. Returns the names of caches and templates
    /// that both files configure differently, each with its kind; this file's configuration stays.
    /// A name that occurs twice in the other file is not returned: parsing that file has reported
    /// it.
    #[must_use]
    pub fn overlay(&mut self, over: Self) -> Vec<(&'static str, CacheName)> {
        let Self {
            bind_address,
            bind_host,
            port,
            port_offset,
            node_name,
            cluster_name,
            container_name,
            statistics,
            data_dir,
            max_memory,
            insecure,
            lenient,
            advertised,
            external_host,
            external_port,
            cors,
            allowed_hosts,
            limits,
            migration,
            log,
            default_cache,
            caches,
            templates,
        } = over;
        if bind_address.is_some() || bind_host.is_some() {
            (self.bind_address, self.bind_host) = (bind_address, bind_host);
        }
        lay(port, &mut self.port);
        lay(port_offset, &mut self.port_offset);
        lay(node_name, &mut self.node_name);
        lay(cluster_name, &mut self.cluster_name);
        lay(container_name, &mut self.container_name);
        lay(statistics, &mut self.statistics);
        lay(data_dir, &mut self.data_dir);
        lay(max_memory, &mut self.max_memory);
        lay(insecure, &mut self.insecure);
        self.lenient |= lenient;
        lay(advertised, &mut self.advertised);
        lay(external_host, &mut self.external_host);
        lay(external_port, &mut self.external_port);
        self.cors.extend(cors);
        if !allowed_hosts.is_empty() {
            self.allowed_hosts = allowed_hosts;
        }
        self.limits.overlay(limits);
        self.migration.overlay(migration);
        lay(log, &mut self.log);
        lay(default_cache, &mut self.default_cache);
        let templates = add("template", templates, &mut self.templates);
        let caches = add("cache", caches, &mut self.caches);
        templates.chain(caches).collect()
    }
}

/// Adds new configurations. Existing ones stay, and the names of those that differ are returned.
fn add(
    what: &'static str,
    over: Vec<(CacheName, CacheConfig)>,
    under: &mut Vec<(CacheName, CacheConfig)>,
) -> impl Iterator<Item = (&'static str, CacheName)> + use<> {
    let known: HashMap<_, _> =
        under.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
    let mut differing = Vec::new();
    for (name, config) in over {
        match known.get(&name).and_then(|at| under.get(*at)) {
            None => under.push((name, config)),
            Some((_, standing)) if *standing == config => {}
            Some(_) => differing.push((what, name)),
        }
    }
    differing.into_iter()
}

impl LimitsFile {
    fn overlay(&mut self, over: Self) {
        let Self { max_content, max_key, max_caches, max_connections, max_in_flight, idle_timeout } =
            over;
        lay(max_content, &mut self.max_content);
        lay(max_key, &mut self.max_key);
        lay(max_caches, &mut self.max_caches);
        lay(max_connections, &mut self.max_connections);
        lay(max_in_flight, &mut self.max_in_flight);
        lay(idle_timeout, &mut self.idle_timeout);
    }
}

impl MigrationFile {
    fn overlay(&mut self, over: Self) {
        let Self {
            source_timeout,
            on_source_error,
            max_tombstones,
            buffer,
            threads,
            max_entries_per_second,
            max_bytes_per_second,
        } = over;
        lay(source_timeout, &mut self.source_timeout);
        lay(on_source_error, &mut self.on_source_error);
        lay(max_tombstones, &mut self.max_tombstones);
        lay(buffer, &mut self.buffer);
        lay(threads, &mut self.threads);
        lay(max_entries_per_second, &mut self.max_entries_per_second);
        lay(max_bytes_per_second, &mut self.max_bytes_per_second);
    }
}

fn lay<T>(over: Option<T>, under: &mut Option<T>) {
    if over.is_some() {
        *under = over;
    }
}
