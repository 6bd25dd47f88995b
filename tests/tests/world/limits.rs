//! Limits that a container or a service manager sets end in one plain sentence, or do not matter.
