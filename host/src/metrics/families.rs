//! Writes the metrics of a storage.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::list::{self, Kind, Metric};
use crate::latency::Latencies;
use crate::model::Discards;
use crate::plugin::{self, CONTRACT_VERSION};
use crate::resilience::{BreakerState, MirrorStatus, Readiness, ResilientStorage, SpoolStatus};
use crate::sql::PoolStatus;

type Labels<'a> = Vec<(&'static str, &'a str)>;

pub(super) struct Families<'a>(DescriptorEncoder<'a>);

impl<'a> Families<'a> {
    pub fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    pub fn all(mut self, storage: &ResilientStorage) -> fmt::Result {
        let status = storage.status();
        self.operations(storage)?;
        self.number(&list::READY, u64::from(status.readiness == Readiness::Ready))?;
        let states = [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen];
        let states = states.map(|state| (state.name(), u64::from(state == status.breaker.state)));
        self.numbers(&list::BREAKER, "state", &states)?;
        self.number(&list::BREAKER_OPENED, status.breaker.opened)?;
        self.number(&list::BREAKER_FAILURES, status.breaker.failures.into())?;
        if let Some(pool) = &status.storage.pool {
            self.pool(pool)?;
        }
        if let Some(spool) = &status.spool {
            self.spool(spool)?;
        }
        if let Some(mirror) = &status.mirror {
            self.mirror(mirror)?;
        }
        self.number(&list::INSTANCES, status.storage.instances as u64)?;
        self.number(&list::INSTANCE_MEMORY, status.storage.instance_memory as u64)?;
        let Discards { given_up, trapped, at_limit, left_behind } = status.storage.discards;
        let causes = [("given-up", given_up), ("trap", trapped), ("limit", at_limit), ("left-behind", left_behind)];
        self.numbers(&list::DISCARDED, "cause", &causes)?;
        self.number(&list::PAUSED, u64::from(status.storage.paused.is_some()))?;
        self.number(&list::STANDS_IN, u64::from(status.storage.plugin.stands_in.is_some()))?;
        let (cached, compiled) = plugin::loads();
        self.numbers(&list::COMPILATIONS, "code", &[("cached", cached), ("compiled", compiled)])?;
        let swaps = &status.storage.swaps;
        let results = [("swapped", swaps.swapped), ("refused", swaps.refused), ("swapped-back", swaps.swapped_back)];
        self.numbers(&list::SWAPS, "result", &results)?;
        self.infos(storage)
    }

    fn operations(&mut self, storage: &ResilientStorage) -> fmt::Result {
        let backend = storage.storage().backend();
        let mut family = self.family(&list::OPERATIONS)?;
        for observed in storage.observed() {
            let mut labels: Labels<'_> =
                vec![("db_system_name", backend.engine.name()), ("db_operation_name", observed.operation.name())];
            labels.extend(observed.operation.table().map(|table| ("db_collection_name", table)));
            labels.extend([("backend", &*backend.name), ("outcome", observed.outcome.name())]);
            labels.extend(observed.outcome.error().map(|kind| ("error_type", kind.name())));
            histogram(family.encode_family(&labels)?, &observed.latencies)?;
        }
        Ok(())
    }

    fn pool(&mut self, pool: &PoolStatus) -> fmt::Result {
        let used = pool.open.saturating_sub(pool.idle);
        self.number(&list::POOL_MAX, pool.max as u64)?;
        self.numbers(&list::POOL_CONNECTIONS, "state", &[("idle", pool.idle as u64), ("used", used as u64)])?;
        self.number(&list::POOL_WAITING, pool.waiting as u64)?;
        self.number(&list::POOL_OPENED, pool.opened)?;
        self.number(&list::POOL_CLOSED, pool.opened.saturating_sub(pool.open as u64))?;
        histogram(self.family(&list::POOL_ACQUIRE)?, &pool.acquired)?;
        self.number(&list::GROUPS, pool.groups)?;
        self.number(&list::GROUPED, pool.grouped)
    }

    fn spool(&mut self, spool: &SpoolStatus) -> fmt::Result {
        self.number(&list::SPOOL_WAITING, spool.depth as u64)?;
        self.number(&list::SPOOL_LIMIT, spool.limit as u64)?;
        self.number(&list::SPOOL_OLDEST, spool.oldest.unwrap_or_default().as_secs())?;
        self.number(&list::SPOOL_REPLAYED, spool.replayed)?;
        self.number(&list::SPOOL_SUPERSEDED, spool.superseded)?;
        self.number(&list::SPOOL_REFUSED, spool.rejected as u64)?;
        self.number(&list::SPOOL_STALLED, u64::from(spool.paused.is_some()))?;
        self.number(&list::SPOOL_LOST, spool.unreadable)
    }

    fn mirror(&mut self, mirror: &MirrorStatus) -> fmt::Result {
        self.number(&list::MIRROR_WAITING, mirror.waiting as u64)?;
        self.number(&list::MIRROR_OLDEST, mirror.oldest.unwrap_or_default().as_secs())?;
        self.number(&list::MIRROR_COPIED, mirror.mirrored)?;
        self.number(&list::MIRROR_NEWER, mirror.newer)?;
        self.number(&list::MIRROR_MISSED, mirror.missed)?;
        let shadow = &mirror.shadow;
        let results = [("same", shadow.same), ("different", shadow.different), ("failed", shadow.failed)];
        self.numbers(&list::MIRROR_SHADOW, "result", &results)
    }

    fn infos(&mut self, storage: &ResilientStorage) -> fmt::Result {
        let build = vec![("version", env!("CARGO_PKG_VERSION")), ("contract", CONTRACT_VERSION)];
        number(self.family(&list::BUILD)?.encode_family(&build)?, &list::BUILD, 1)?;
        let (backend, plugin) = (storage.storage().backend(), storage.storage().plugin());
        let info: Labels<'_> = vec![
            ("name", &backend.name),
            ("version", &backend.version),
            ("sha256", &plugin.sha256),
            ("engine", backend.engine.name()),
        ];
        number(self.family(&list::PLUGIN)?.encode_family(&info)?, &list::PLUGIN, 1)
    }

    fn family(&mut self, metric: &'static Metric) -> Result<MetricEncoder<'_>, fmt::Error> {
        let kind = match metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        // The encoder adds what counters end with.
        let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        self.0.encode_descriptor(name, metric.help, None, kind)
    }

    fn number(&mut self, metric: &'static Metric, value: u64) -> fmt::Result {
        number(self.family(metric)?, metric, value)
    }

    /// A metric with one label.
    fn numbers(&mut self, metric: &'static Metric, label: &'static str, values: &[(&str, u64)]) -> fmt::Result {
        let mut family = self.family(metric)?;
        for (name, value) in values {
            number(family.encode_family(&[(label, *name)])?, metric, *value)?;
        }
        Ok(())
    }
}

fn number(mut encoder: MetricEncoder<'_>, metric: &Metric, value: u64) -> fmt::Result {
    match metric.kind {
        Kind::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
        Kind::Gauge | Kind::Histogram => encoder.encode_gauge(&value),
    }
}

fn histogram(mut encoder: MetricEncoder<'_>, latencies: &Latencies) -> fmt::Result {
    // The encoder writes the bucket without a bound itself.
    let buckets: Vec<_> =
        latencies.buckets().filter_map(|(bound, count)| Some((bound?.as_secs_f64(), count))).collect();
    encoder.encode_histogram::<NoLabelSet>(latencies.total().as_secs_f64(), latencies.count(), &buckets, None)
}
