//! Where the command tells what it does: lines on standard error, and traces of `serve`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::machine;

/// What tells, and is to be ended with the command.
#[derive(Default)]
pub struct Log {
    #[cfg(feature = "traces")]
    traces: Option<cofferdam::traces::Traces>,
}

impl Log {
    /// Begins with lines.
    pub fn lines() -> Result<Self, Failure> {
        tracing_subscriber::fmt()
            .with_env_filter(filter()?)
            .with_writer(|| machine::Stderr)
            .log_internal_errors(false)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        Ok(Self::default())
    }

    /// Begins with lines, and with traces if the environment names a collector.
    #[cfg(feature = "traces")]
    pub fn lines_and_traces() -> Result<Self, Failure> {
        use tracing_subscriber::Layer;
        use tracing_subscriber::layer::SubscriberExt;
        use tracing_subscriber::util::SubscriberInitExt;

        let traces = cofferdam::traces::Traces::from_env().map_err(|error| Failure::usage(error.to_string()))?;
        // A filter of all is faster than one of each.
        let Some(traces) = traces else { return Self::lines() };
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(|| machine::Stderr)
            .log_internal_errors(false)
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(filter()?);
        tracing_subscriber::registry().with(lines).with(traces.layer()).init();
        Ok(Self { traces: Some(traces) })
    }

    #[cfg(not(feature = "traces"))]
    pub fn lines_and_traces() -> Result<Self, Failure> {
        Self::lines()
    }

    /// Lets the runtime of the caller send traces, and sends the rest when the work has ended.
    #[cfg(feature = "traces")]
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        /// How long the rest may take.
        const BUDGET: std::time::Duration = std::time::Duration::from_secs(1);

        let Some(traces) = &self.traces else { return work.await };
        traces.send_on(tokio::runtime::Handle::current());
        let result = work.await;
        if !traces.shutdown(BUDGET).await {
            tracing::warn!("the collector did not take the last traces within {BUDGET:?}");
        }
        result
    }

    #[cfg(not(feature = "traces"))]
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        work.await
    }
}

fn filter() -> Result<EnvFilter, Failure> {
    let (name, filter) = ["COFFERDAM_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| Some((name, std::env::var(name).ok().filter(|filter| !filter.is_empty())?)))
        .unwrap_or(("COFFERDAM_LOG", "warn".into()));
    EnvFilter::try_new(&filter).map_err(|error| {
        Failure::usage(format!("{name} is {filter:?}: {error}; use for example warn, info or cofferdam=debug"))
    })
}
