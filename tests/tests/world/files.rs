//! Two names of one file are one file, and files that cannot be used safely are refused.
