# Short names of everything. `just` alone lists them.

_list:
    @just --list

# Everything on this machine, until Ctrl-C
dev:
    cargo run --release -- dev

# What decides whether a change lands
ci:
    bash .ci/run

# The crates' own tests, without a broker
unit:
    cargo test --workspace --exclude tests --exclude service

# All tests
test:
    cargo test --workspace

# Formatting and lints, as .ci/run has them
lint:
    bash .ci/run format lint docs

# The packages for Python and npm, installed and tested
packages:
    bash tests/packages/run

# The benchmarks of PERFORMANCE.md, against a bare reader, a bare handler and PostgreSQL
bench:
    cargo bench -p read-model --bench answers --bench fold
    cargo bench -p tests

# The program's bill of materials, CycloneDX, in target/sbom.cdx.json
sbom:
    mkdir -p target && python3 deploy/supply.py sbom > target/sbom.cdx.json

# The licence texts of all crates in the program, in target/notices.txt
notices:
    mkdir -p target && python3 deploy/supply.py notices > target/notices.txt
