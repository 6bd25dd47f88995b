//! Where traces go: the variables that OpenTelemetry gives every program. Those that are not here (`OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_...`) are read by its own library.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::ConfigError;
use crate::files::slip;

/// How long one request to a collector may take, where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collector {
    /// How long one request may take.
    pub(crate) timeout: Duration,
    /// A PEM file with the authorities to trust instead of the public ones.
    pub(crate) certificate: Option<PathBuf>,
    /// Whether the traces have a name for the program.
    pub(crate) is_named: bool,
}

impl Collector {
    /// The collector that the environment of this process names; `None` where it names none, or switches traces off.
    pub(crate) fn from_env() -> Result<Option<Self>, ConfigError> {
        Self::from_lookup(&|name| std::env::var_os(name))
    }

    fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Self>, ConfigError> {
        let mut reader = Reader { lookup, mistakes: Vec::new() };
        let collector = reader.collector();
        match reader.mistakes.is_empty() {
            true => Ok(collector),
            false => Err(ConfigError(reader.mistakes)),
        }
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    fn text(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name).filter(|value| !value.is_empty())?;
        let text = value.into_string();
        if text.is_err() {
            self.mistakes.push(format!("{name} is not UTF-8: write it again"));
        }
        text.ok()
    }

    /// The variable for traces alone, or else the one for all signals.
    fn exporter(&mut self, name: &str) -> Option<(String, String)> {
        [format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")]
            .into_iter()
            .find_map(|name| self.text(&name).map(|text| (name, text)))
    }

    fn collector(&mut self) -> Option<Collector> {
        if self.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return None;
        }
        match self.text("OTEL_TRACES_EXPORTER").as_deref() {
            None | Some("otlp") => {}
            Some("none") => return None,
            Some(_) => self.mistakes.push("OTEL_TRACES_EXPORTER must be otlp or none".into()),
        }
        let (name, endpoint) = self.exporter("ENDPOINT")?;
        if let Some(problem) = problem(&endpoint) {
            self.mistakes.push(format!("{name} {problem}"));
        }
        if let Some((name, protocol)) = self.exporter("PROTOCOL")
            && protocol != "http/protobuf"
        {
            self.mistakes.push(format!(
                "{name} must be http/protobuf: write that, and name the collector's port for it, which is 4318 as a rule"
            ));
        }
        let timeout = self.exporter("TIMEOUT").map_or(TIMEOUT, |(name, text)| match text.parse() {
            Ok(milliseconds @ 1..) => Duration::from_millis(milliseconds),
            _ => {
                self.mistakes.push(format!("{name} must be a whole number of milliseconds, from 1"));
                TIMEOUT
            }
        });
        let certificate = self.exporter("CERTIFICATE").map(|(_, path)| path.into());
        let attributes = self.text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let in_attributes = attributes.split(',').any(|pair| pair.trim_start().starts_with("service.name="));
        let is_named = in_attributes || self.text("OTEL_SERVICE_NAME").is_some();
        Some(Collector { timeout, certificate, is_named })
    }
}

/// What is wrong with an endpoint. It is not shown, since it may have a password in it.
fn problem(endpoint: &str) -> Option<String> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| endpoint.strip_prefix(scheme));
    let said = "must be a URL, such as http://collector:4318";
    let Some(rest) = rest else {
        return Some(slip::of(endpoint).map_or_else(|| said.to_owned(), |slip| format!("{said}; it {slip}")));
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Some("has a user in it: give that to the collector with OTEL_EXPORTER_OTLP_HEADERS".into());
    }
    let is_clean = endpoint.bytes().all(|byte| byte.is_ascii_graphic());
    (host.is_empty() || host.starts_with(':') || !is_clean).then(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Collector>, String> {
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Collector::from_lookup(&lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_named() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        assert_eq!(read(&[endpoint, ("OTEL_SDK_DISABLED", "True")]), Ok(None));
        assert_eq!(read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
        let plain = Collector { timeout: TIMEOUT, certificate: None, is_named: false };
        assert_eq!(read(&[endpoint]), Ok(Some(plain.clone())));
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://[::1]:4318/v1/traces");
        assert_eq!(read(&[traces]), Ok(Some(plain)));
    }

    #[test]
    fn the_variable_for_traces_counts_more() {
        let read = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=bot"),
        ]);
        let expected =
            Collector { timeout: Duration::from_millis(250), certificate: Some("/ca.pem".into()), is_named: true };
        assert_eq!(read, Ok(Some(expected)));
    }

    #[test]
    fn mistakes_are_told_by_name_and_without_values() {
        for (name, value, said) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must be a URL"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://:4318", "must be a URL"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://secret:secret@host", "has a user in it"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "must be a whole number"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "must be otlp or none"),
        ] {
            let error = read(&[(name, value), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")]);
            let error = if name.ends_with("ENDPOINT") {
                error
            } else {
                read(&[(name, value), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector")])
            };
            let error = error.unwrap_err();
            assert!(error.starts_with(name) && error.contains(said) && !error.contains("secret"), "{error}");
        }
    }
}
