# Thin names over `cargo xtask`, which does the work.

# Build and run the demo on SQLite.
demo *arguments:
    cargo xtask demo {{arguments}}

# Install missing dependencies of the tests and run all tests.
test filter="":
    cargo xtask test {{filter}}

# Check formatting, the layers of the library, clippy and rustdoc.
lint:
    cargo xtask lint

# Pack the published packages, and build a bot and a backend from them.
package:
    cargo xtask package

# Benchmark the plugins against the bare drivers and sqlx, and compare the results with the goals.
bench *arguments:
    cargo xtask bench {{arguments}}

# Inject faults under load and verify that no acknowledged write is lost.
faults *arguments:
    cargo xtask faults {{arguments}}

# Benchmark migrations from SQLite to MariaDB and back.
moves *arguments:
    cargo xtask moves {{arguments}}

# Build the documents as a site.
docs *arguments:
    cargo xtask docs {{arguments}}

# Check licences, sources and advisories of dependencies.
audit *arguments:
    cargo xtask audit {{arguments}}

# Make the archive and the Debian packages that users download.
release *arguments:
    cargo xtask release {{arguments}}

# Build the optimised command and plugins into dist/.
dist:
    cargo xtask dist
