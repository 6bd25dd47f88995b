/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// A metric: what it is called and means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as it is exported.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts or tells, with its unit.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*

        /// All metrics, in the order in which they are exported.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    OPERATIONS Histogram "db_client_operation_duration_seconds"
        ["db_system_name", "db_operation_name", "db_collection_name", "backend", "outcome", "error_type"]
        "Seconds that an operation took for its caller, with waiting and retries; outcome is ok, spooled, cancelled or failed";

    READY Gauge "cofferdam_ready" [] "1 once the storage is initialised, 0 before it, after close, and while it works without its database";
    BREAKER Gauge "cofferdam_breaker_state" ["state"] "1 for the state of the circuit breaker: closed, open or half-open";
    BREAKER_OPENED Counter "cofferdam_breaker_opened_total" [] "Times that the circuit breaker has opened";
    BREAKER_FAILURES Gauge "cofferdam_breaker_failures" [] "Failures in a row";

    POOL_MAX Gauge "cofferdam_pool_connections_max" [] "Connections that may be open";
    POOL_CONNECTIONS Gauge "cofferdam_pool_connections" ["state"] "Open connections: idle, or used by an operation";
    POOL_WAITING Gauge "cofferdam_pool_waiting" [] "Callers that wait for a connection, or for their turn in a group of writes";
    POOL_OPENED Counter "cofferdam_pool_connections_opened_total" [] "Connections opened since the pool was opened";
    POOL_CLOSED Counter "cofferdam_pool_connections_closed_total" [] "Connections closed since the pool was opened";
    POOL_ACQUIRE Histogram "cofferdam_pool_acquire_duration_seconds" []
        "Seconds that callers waited for the right to a connection";
    GROUPS Counter "cofferdam_write_groups_total" [] "Groups of writes that shared a commit";
    GROUPED Counter "cofferdam_grouped_writes_total" [] "Writes in those groups; divided by the groups it tells rows a group";

    SPOOL_WAITING Gauge "cofferdam_spool_writes" [] "Writes that wait in the spool for the database";
    SPOOL_LIMIT Gauge "cofferdam_spool_writes_max" [] "Writes that the spool can hold";
    SPOOL_OLDEST Gauge "cofferdam_spool_oldest_age_seconds" [] "Age of the oldest write in the spool in seconds, 0 if it is empty";
    SPOOL_REPLAYED Counter "cofferdam_spool_replayed_total" [] "Writes that were replayed from the spool into the database";
    SPOOL_SUPERSEDED Counter "cofferdam_spool_superseded_total" []
        "Writes of the spool that were skipped, because the row in the database was newer or the same";
    SPOOL_REFUSED Gauge "cofferdam_spool_refused_writes" [] "Writes that the database refused and the spool keeps";
    SPOOL_STALLED Gauge "cofferdam_spool_stalled" [] "1 while the last attempt to replay the spool failed";
    SPOOL_LOST Gauge "cofferdam_spool_unreadable_writes" [] "Writes that a damaged spool lost at most at the start";

    MIRROR_WAITING Gauge "cofferdam_mirror_rows" [] "Rows and cleanups that the mirror does not have yet";
    MIRROR_OLDEST Gauge "cofferdam_mirror_oldest_age_seconds" [] "Age of the oldest of them in seconds, 0 if there is none";
    MIRROR_COPIED Counter "cofferdam_mirror_copied_total" [] "Rows copied to the mirror";
    MIRROR_NEWER Counter "cofferdam_mirror_newer_total" [] "Rows left as they are, since they are newer in the mirror";
    MIRROR_MISSED Counter "cofferdam_mirror_missed_total" [] "Writes that the mirror may never get: migrate again, and verify";
    MIRROR_SHADOW Counter "cofferdam_mirror_shadow_reads_total" ["result"]
        "Reads that were repeated on the mirror: same, different, or failed";

    INSTANCES Gauge "cofferdam_instances" [] "Instances of the plugin";
    INSTANCE_MEMORY Gauge "cofferdam_instance_memory_bytes" [] "Bytes of linear memory of all instances";
    DISCARDED Counter "cofferdam_instances_discarded_total" ["cause"]
        "Instances thrown away after an operation: given-up (deadline or cancellation), trap, limit, or left-behind";
    PAUSED Gauge "cofferdam_plugin_paused" [] "1 while the plugin is left alone after failures in a row";
    STANDS_IN Gauge "cofferdam_plugin_stands_in" [] "1 while the last good plugin answers instead of the configured one, which could not be used";
    COMPILATIONS Counter "cofferdam_plugin_loads_total" ["code"] "Plugins loaded by this process: from the cache, or compiled";

    SWAPS Counter "cofferdam_plugin_swaps_total" ["result"] "Swaps of the plugin: swapped, refused, or swapped-back";

    BUILD Gauge "cofferdam_build_info" ["version", "contract"] "The version of the library and of its contract with plugins; always 1";
    PLUGIN Gauge "cofferdam_plugin_info" ["name", "version", "sha256", "engine"] "The plugin that answers; always 1";
}
