# Thin names over `cargo xtask`, which does the work.

# Run the demo on SQLite.
demo *arguments:
    cargo xtask demo {{arguments}}

# Install what is missing and run every test.
test filter="":
    cargo xtask test {{filter}}

# Check formatting, clippy and documentation.
lint:
    cargo xtask lint

# Measure the plugins beside the bare drivers.
bench filter="":
    cargo xtask bench {{filter}}

# Put the optimised command and plugins into dist/.
dist:
    cargo xtask dist
