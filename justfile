# Commands that people run. `just` lists them.

_default:
    @just --list --unsorted

# Check formatting and lints
check:
    cargo fmt --all -- --check
    cargo lint

# Run the unit and integration tests; `just test verify` runs those with a name
test *filter:
    cargo test --workspace --locked -- {{filter}}

# Run the integration tests only
it *filter:
    cargo it {{filter}}

# Run the tests against real servers and clients (needs a JDK, Maven, Node and faketime)
interop *filter:
    cargo test --package godwit-tests --features interop --test interop --locked -- --nocapture {{filter}}

# Run everything, as it is run before a change is taken
ci:
    .ci/run

# Show a migration from start to end
demo *options:
    cargo run --release -- demo {{options}}

# Try random migrations against a model: `just simulate 20000`
simulate seeds="2000":
    SEEDS={{seeds}} cargo test --package godwit-migrate --lib --release -- oracle --nocapture

# Fuzz one decoder for a minute, for example `just fuzz hotrod_requests`
fuzz target seconds="60":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# Build the program
build:
    cargo build --release --locked

# Build the documentation of the crates
doc:
    cargo doc --workspace --no-deps --locked --open
