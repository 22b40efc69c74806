# The menu. `make` alone prints it.
.DEFAULT_GOAL := help
SHELL := /usr/bin/env bash
export CARGO_TERM_COLOR ?= auto

# Where tests/cluster/build keeps what it builds is its own business; `make cluster` keeps a control plane here.
CLUSTER_DIRECTORY ?= target/cluster

# What is built for this machine: always chosen alike, so that one build shares its dependencies with the next.
WORKSPACE := --workspace --exclude windlass-core-component

.PHONY: help demo test lint core plugins interface-reference build cluster cluster-down bench bench-cluster compare mutants sim fuzz release

help: ## Print this menu
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## Build what is needed and simulate the manifests in demo/
	@./demo/run

test: ## Everything: format, lints, unit and text cases, properties, simulator, real control plane
	@./tests/run

lint: ## Format, clippy, and the rules of the tree
	cargo fmt --all --check
	cd plugins && cargo fmt --all --check && cargo clippy --all-targets --locked -- -D warnings
	cargo clippy $(WORKSPACE) --all-targets --features windlass-tests/wasm -- -D warnings
	cargo test --quiet -p windlass-tests --test tidy

core: ## Build the core as wasm into target/core
	@./core/build

plugins: ## Build the example plugins as wasm into target/plugins
	@./plugins/build

interface-reference: ## Write docs/policy-interface.md anew from wit/
	UPDATE_REFERENCE=1 cargo test -q -p windlass-tests --test interface_reference

build: core ## Build the windlass binary with the core embedded (dev profile)
	WINDLASS_REQUIRE_CORE=1 cargo build -p windlass-host --bin windlass

release: core ## Build the windlass binary as released, the core embedded as machine code
	WINDLASS_REQUIRE_CORE=1 cargo build --release $(WORKSPACE) --example precompile
	$(or $(CARGO_TARGET_DIR),target)/release/examples/precompile
	WINDLASS_REQUIRE_CORE=1 cargo build --release $(WORKSPACE) --bin windlass --example precompile

cluster: ## Leave a real control plane running and print its kubeconfig
	@cargo run --quiet -p windlass-control-plane -- up --nodes 3 --detach --dir $(CLUSTER_DIRECTORY)

cluster-down: ## Stop the control plane that `make cluster` left running
	@cargo run --quiet -p windlass-control-plane -- down --dir $(CLUSTER_DIRECTORY)

bench: build ## Measure the core on both engines, schedules, the state machine, plugins, nodes and the sandbox
	./plugins/build || [ $$? -eq 77 ]
	./tests/benches/plugins.sh || [ $$? -eq 77 ]
	WINDLASS_REQUIRE_CORE=1 cargo bench $(WORKSPACE) --features windlass-tests/wasm \
		--bench crossing --bench machine --bench plugins --bench nodes --bench schedule --bench store \
		--bench simulation

bench-cluster: release ## Measure against the built-in controllers on a real control plane: make bench-cluster ARGS=--quick
	WINDLASS_REQUIRE_CORE=1 cargo build --release $(WORKSPACE) --bin cluster-bench
	@"$${CARGO_TARGET_DIR:-target}/release/cluster-bench" $(ARGS)

compare: build ## Print row by row whether Jobs, CronJobs and DaemonSets look as with the built-in controllers on a real control plane
	@cargo run --quiet -p windlass-side-by-side --bin compare -- $(ARGS)

mutants: ## Show that the invariants see what they should: each mutant must be caught
	cargo test -p windlass-tests --test mutants

sim: ## Run simulator seeds: make sim SEEDS=10000 FIRST=1
	WINDLASS_SEEDS=$(or $(SEEDS),2000) WINDLASS_FIRST_SEED=$(or $(FIRST),1) \
		cargo test -p windlass-tests --test simulation -- --nocapture

fuzz: ## Try schedules that nobody thought of for a while, on a stable compiler: make fuzz SECONDS=60
	@./tests/fuzz/run schedule $(or $(SECONDS),60)
