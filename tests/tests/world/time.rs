//! A clock that jumps loses no write.
