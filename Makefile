# Sealtrail: `make help` lists what there is.
SHELL := /bin/bash
BIN := target/release
CARGO := cargo

.PHONY: help build up up-detached down reset fetch test lint

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

build: ## Build everything
	$(CARGO) build --release --workspace --bins --locked

up: build ## Start Kafka, registry, ClickHouse and all services; Ctrl-C stops them
	@exec $(BIN)/sealtrail-local-stack up

up-detached: build ## The same in the background
	@$(BIN)/sealtrail-local-stack up --detached

down: ## Stop what runs in the background
	@if [ -x $(BIN)/sealtrail-local-stack ]; then $(BIN)/sealtrail-local-stack down; else echo "nothing runs here"; fi

reset: down ## Stop, and wipe all data of the local stack
	rm -rf .local

fetch: build ## Fetch the engines into the user's cache, and no more
	@$(BIN)/sealtrail-local-stack fetch
