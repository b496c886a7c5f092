# Sealtrail: `make help` lists what there is.
SHELL := /bin/bash
BIN := target/release
CARGO := cargo
VENV := target/venv
TOOLS := target/tools
CLIENTS := target/direct-door
APICURIO := target/apicurio.ready

.PHONY: help build up up-detached down reset fetch test lint fmt docs unit integration api-tester kill-test dashboards chaos chaos-ci chaos-long fuzz bench-gateway siege-connections siege-clients

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

build: ## Build everything
	$(CARGO) build --release --workspace --bins --locked

up: build ## Start Kafka, registry, ClickHouse and all services; Ctrl-C stops them
	@# with a terminal the stack gets the Ctrl-C and make does not, so that make ends with the stack's own status
	@if [ -t 0 ]; then set -m; fi; $(BIN)/sealtrail-local-stack up; exit $$?

up-detached: build ## The same in the background
	@$(BIN)/sealtrail-local-stack up --detached

down: ## Stop what runs in the background
	@if [ -x $(BIN)/sealtrail-local-stack ]; then $(BIN)/sealtrail-local-stack down; else echo "nothing runs here"; fi

reset: down ## Stop, and wipe all data of the local stack
	rm -rf "$${SEALTRAIL_LOCAL_DIR:-.local}"

dashboards: $(TOOLS)/ready ## Watch the running stack: Prometheus, alerts, dashboards in the browser
	@tools/dashboards.sh

fetch: build ## Fetch the engines into the user's cache, and no more
	@$(BIN)/sealtrail-local-stack fetch

test: lint build fetch $(VENV)/ready $(TOOLS)/ready $(CLIENTS)/ready $(APICURIO) ## Run everything that must hold
	$(CARGO) test --release --workspace --locked
	$(BIN)/sealtrail-chaos --part ci --out target/chaos-ci.json

unit: ## Run the tests that need no engine
	$(CARGO) test --release --workspace --locked --lib --bins

fuzz: ## Mutate records for FUZZ_SECONDS=600, each kind; FUZZ_SEED=7 to repeat
	SEALTRAIL_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) SEALTRAIL_FUZZ_SEED=$(or $(FUZZ_SEED),$(shell date +%s)) \
		$(CARGO) test --release --workspace --locked --test fuzz -- --nocapture mutated

integration: build fetch $(VENV)/ready $(TOOLS)/ready $(CLIENTS)/ready $(APICURIO) ## Run the tests on real Kafka and ClickHouse
	$(CARGO) test --release --workspace --locked --test it

api-tester: build fetch $(VENV)/ready ## Let schemathesis explore the gateway's API for SECONDS=600
	SEALTRAIL_API_TESTER_SECONDS=$(or $(SECONDS),600) $(CARGO) test --release --workspace --locked --test it -- openapi

lint: ## Check format, lints and the rules of dependency
	$(CARGO) fmt --all --check
	python3 tools/check_dependencies.py
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings

docs: build ## Write docs/CONFIGURATION.md, docs/METRICS.md and docs/openapi from what the programs say of themselves
	python3 tools/write_docs.py

fmt: ## Format the code
	$(CARGO) fmt --all

kill-test: build ## Kill processor and ClickHouse five times each under 1,000,000 events (against `make up`)
	$(BIN)/sealtrail-load --env-file .local/demo.env kill --target processor --kills 5 --events 1000000
	$(BIN)/sealtrail-load --env-file .local/demo.env kill --target clickhouse --kills 5 --events 1000000

chaos: build fetch ## Bring about every fault on three real brokers; FAULT=F11 for one, SEED=7 to repeat
	$(BIN)/sealtrail-chaos $(if $(FAULT),--fault $(FAULT)) $(if $(SEED),--seed $(SEED))

chaos-ci: build fetch ## The part of `make chaos` that takes under five minutes
	$(BIN)/sealtrail-chaos --part ci --out target/chaos-ci.json

chaos-long: build fetch ## Random faults for an hour (MINUTES=60); a failure prints its seed
	$(BIN)/sealtrail-chaos --part long --minutes $(or $(MINUTES),60) --out target/chaos-long.json $(if $(SEED),--seed $(SEED))

bench-gateway: build fetch ## What the gateway's promise costs, three figures on an own stack; QUICK=1 for a look
	$(BIN)/sealtrail-load bench gateway $(if $(QUICK),--quick)

siege-connections: build fetch ## 10,000 idle and 500 slow connections, and what a healthy client notices
	$(BIN)/sealtrail-load siege connections

siege-clients: build fetch ## 2,000 clients read and write for five minutes, then the proof; LASTING=60 for less
	$(BIN)/sealtrail-load siege clients $(if $(LASTING),--seconds $(LASTING))

$(VENV)/ready: integration-tests/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement integration-tests/requirements.txt
	@touch $@

$(TOOLS)/ready: tools/fetch-debian.sh
	rm -rf $(TOOLS)
	tools/fetch-debian.sh prometheus kcat
	@touch $@

$(CLIENTS)/ready: tools/fetch-direct-door.sh $(wildcard docs/direct-door/*) $(VENV)/ready
	tools/fetch-direct-door.sh
	@touch $@

$(APICURIO): tools/fetch-apicurio.sh
	tools/fetch-apicurio.sh
	@touch $@
