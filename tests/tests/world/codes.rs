//! Errors of servers and files have the kind that a caller needs, and the server's own words.
