//! Whatever else collides, a write touches the row of its key, and no row is left out in silence.
