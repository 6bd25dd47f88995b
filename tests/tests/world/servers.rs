//! Settings of a server do not change what a session does.
