# Thin names over `cargo xtask`, which does the work.

# Run the demo on SQLite.
demo *arguments:
    cargo xtask demo {{arguments}}

# Install what is missing and run every test.
test filter="":
    cargo xtask test {{filter}}

# Check formatting, floors, clippy and documentation.
lint:
    cargo xtask lint

# Measure the plugins beside the bare drivers and sqlx, and compare the figures with the goals.
bench *arguments:
    cargo xtask bench {{arguments}}

# Provoke faults under load, and look for every answered write.
faults *arguments:
    cargo xtask faults {{arguments}}

# Measure moving a bot's state from SQLite to MariaDB and back.
moves *arguments:
    cargo xtask moves {{arguments}}

# Put the optimised command and plugins into dist/.
dist:
    cargo xtask dist
