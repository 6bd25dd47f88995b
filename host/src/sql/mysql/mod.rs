//! MySQL and MariaDB servers.
