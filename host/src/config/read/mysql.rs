//! The variables of MySQL.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{HOUR, Reader, read_file, shown, shown_path, variable_named};
use crate::config::{HostPolicy, HostPort, MysqlConfig, Secret, Tls, TlsMode};
use crate::files::{FileUse, slip};

impl Reader<'_> {
    pub(super) fn mysql(&mut self) -> MysqlConfig {
        let (hosts, host_policy) = (self.mysql_hosts(), self.mysql_host_policy());
        // The limit of MySQL and MariaDB.
        let database = self.mysql_name("MYSQL_DATABASE", 64);
        // MariaDB's limit; MySQL's is 32.
        let username = self.mysql_name("MYSQL_USERNAME", 128);
        let (password, password_file) = self.mysql_password();
        MysqlConfig {
            hosts,
            host_policy,
            database,
            username,
            password,
            password_file,
            connect_timeout: self.duration("MYSQL_TIMEOUT", Duration::from_millis(1)..=HOUR),
            round_trip_timeout: self.duration("MYSQL_ROUND_TRIP_TIMEOUT", Duration::from_millis(1)..=HOUR),
            connect_attempts: self.number("MYSQL_CONNECT_ATTEMPTS", 1..=100),
            tls: self.mysql_tls(),
        }
    }

    fn mysql_hosts(&mut self) -> Vec<HostPort> {
        let port = self.mysql_port();
        let text = self.text_or_default(HOSTS);
        if text.contains("://") || text.contains('@') {
            // A URL may carry a password, so it is not shown.
            self.wrong(
                HOSTS,
                "is a URL: give the hosts alone, and the rest in MYSQL_PORT, MYSQL_DATABASE, MYSQL_USERNAME",
            );
            return Vec::new();
        }
        let mut hosts = Vec::new();
        for place in text.split(',').map(str::trim) {
            match host_port(place, port) {
                Err(problem) => self.wrong(HOSTS, problem),
                Ok(host) if hosts.contains(&host) => self.wrong(HOSTS, format!("names {host} twice: name it once")),
                Ok(host) => hosts.push(host),
            }
        }
        hosts
    }

    fn mysql_port(&mut self) -> u16 {
        const NAME: &str = "MYSQL_PORT";
        let link = self.raw(NAME).and_then(|value| value.into_string().ok()).filter(|text| is_service_link(text));
        let Some(link) = link else { return self.number(NAME, 1..=65_535) as u16 };
        self.wrong(
            NAME,
            format!(
                "is {link}, a service link that Kubernetes makes of a Service called mysql: set MYSQL_PORT in the \
                 container, as to 3306, or enableServiceLinks: false in the pod's spec"
            ),
        );
        3306
    }

    fn mysql_host_policy(&mut self) -> HostPolicy {
        const NAME: &str = "MYSQL_HOST_POLICY";
        let text = self.text_or_default(NAME);
        HostPolicy::named(&text).unwrap_or_else(|| {
            let names = HostPolicy::ALL.map(HostPolicy::name).join(" or ");
            self.wrong_value(NAME, format!("is {}: it must be {names}", shown(&text)));
            HostPolicy::Ordered
        })
    }

    fn mysql_name(&mut self, name: &'static str, longest: usize) -> String {
        let Some(text) = self.text(name).or_else(|| variable_named(name)?.default_value().map(str::to_owned)) else {
            if !self.wrong.contains(name) {
                self.wrong(name, "is not set: DATABASE_TYPE=mysql needs it");
            }
            return String::new();
        };
        if text.chars().count() > longest || text.contains(char::is_control) {
            self.wrong_value(
                name,
                format!("is {}: it must be 1 to {longest} characters without control characters", shown(&text)),
            );
        } else if slip::of(&text).is_some()
            || text.starts_with('/')
            || text.contains("://")
            || text.contains("?") && text.contains('=')
        {
            self.wrong_value(name, format!("is {}: it must be the name alone", shown(&text)));
        }
        text
    }

    fn mysql_password(&mut self) -> (Secret, Option<PathBuf>) {
        const NAME: &str = "MYSQL_PASSWORD";
        const FILE: &str = "MYSQL_PASSWORD_FILE";
        let file = self.path(FILE, FileUse::Input);
        if self.wrong.contains(FILE) {
            return (Secret::new(""), None);
        }
        match (self.raw(NAME), file) {
            (Some(_), Some(_)) => self.wrong(NAME, "and MYSQL_PASSWORD_FILE are both set: set one of them"),
            (Some(_), None) => return (Secret::new(self.text(NAME).unwrap_or_default()), None),
            (None, Some(path)) => match read_password(&path) {
                Ok(password) => return (password, Some(path)),
                Err(problem) => self.wrong(FILE, format!("names {problem}")),
            },
            (None, None) => {
                self.wrong(NAME, "is not set: DATABASE_TYPE=mysql needs it, or MYSQL_PASSWORD_FILE");
            }
        }
        (Secret::new(""), None)
    }

    fn mysql_tls(&mut self) -> Tls {
        let ca = self.path("MYSQL_TLS_CA", FileUse::Input);
        if let Some(path) = &ca {
            match read_file(path) {
                Err(cause) => self.wrong("MYSQL_TLS_CA", format!("names {}: {cause}", shown_path(path))),
                Ok(bytes) => {
                    const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";
                    if !bytes.windows(MARK.len()).any(|window| window == MARK) {
                        self.wrong(
                            "MYSQL_TLS_CA",
                            format!("names {}, which contains no PEM certificate", shown_path(path)),
                        );
                    }
                }
            }
        }
        let Some(text) = self.text("MYSQL_TLS") else {
            // As the mysql client does: naming an authority without a mode means that it is to be verified.
            let mode = if ca.is_some() { TlsMode::VerifyCa } else { TlsMode::Preferred };
            return Tls { mode, ca };
        };
        let Some(mode) = TlsMode::named(&text) else {
            let names = TlsMode::ALL.map(TlsMode::name).join(", ");
            self.wrong_value("MYSQL_TLS", format!("is {}: it must be one of {names}", shown(&text)));
            return Tls { mode: TlsMode::VerifyIdentity, ca };
        };
        if ca.is_some() && !matches!(mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity) {
            self.wrong(
                "MYSQL_TLS",
                format!("is {text}, which verifies nothing, yet MYSQL_TLS_CA is set: use verify-ca or verify-identity, or unset one"),
            );
        }
        Tls { mode, ca }
    }
}

const HOSTS: &str = "MYSQL_HOST";

/// `tcp://10.96.0.5:3306`, which nobody has typed: an address, and no name or password.
fn is_service_link(text: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    address.is_some_and(|address| address.chars().all(|c| c.is_ascii_hexdigit() || ".:[]".contains(c)))
}

/// One host of the list: a name or an address, and perhaps a port.
fn host_port(place: &str, default_port: u16) -> Result<HostPort, String> {
    let is_ipv6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    if is_ipv6(place) {
        return Ok(HostPort::new(place, default_port));
    }
    if place.is_empty() {
        return Err("names no host at one of its places: separate hosts by single commas".into());
    }
    if place.contains('/') {
        return Err(format!("names {}, a path: give a host name or an address", shown(place)));
    }
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) if is_ipv6(host) => (host, None),
        Some((host, rest)) if is_ipv6(host) && rest.starts_with(':') => (host, Some(&rest[1..])),
        _ => match place.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(format!(
                    "names {}: write an IPv6 address with a port in brackets, such as [::1]:3306",
                    shown(place)
                ));
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let is_name = !host.is_empty()
        && host.len() <= 255
        && slip::of(host).is_none()
        && host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c));
    if !is_name && !is_ipv6(host) {
        return Err(format!("names {}: it must be a host name or an address", shown(place)));
    }
    match port {
        None => Ok(HostPort::new(host, default_port)),
        // `parse` also takes a sign.
        Some(text) => match text.parse() {
            Ok(port) if port > 0 && !text.starts_with('+') => Ok(HostPort::new(host, port)),
            _ => Err(format!("names {}: a port must be a whole number from 1 to 65535", shown(place))),
        },
    }
}

/// The password in a file, without one newline at its end. The error names the file and says what is wrong with it.
pub(crate) fn read_password(path: &Path) -> Result<Secret, String> {
    let shown = shown_path(path);
    let bytes = read_file(path).map_err(|cause| format!("{shown}: {cause}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown}, which is not UTF-8"))?;
    match text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line)) {
        "" => Err(format!("{shown}, which is empty")),
        password => Ok(Secret::new(password)),
    }
}
