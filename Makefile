# Belfry. `make` alone lists what there is.

PYTHON ?= python3
PARALLEL ?= -n 3 --dist loadfile
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install run test test-majors check lint types arch sql fmt lock torture soak chaos bench-write bench-fanout \
	bench-latency bench-storm bench-slow-reader bench-stop bench-size \
	bench-inbox bench-two-devices bench-prune bench-watch bench-widget clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv/ with everything in it

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Belfry needs Python 3.11 or newer: set PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 cannot make environments: install its venv module (Debian: apt install python3-venv)"; exit 1; }
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

run: install ## serve the demo on an embedded Postgres
	@$(BIN)/belfry serve --dev

test: install ## run every test, then those of the database again on a second major version where there is one
	$(BIN)/pytest $(PARALLEL)
	$(BIN)/python -m tests.majors second

test-majors: install ## run the SQL tests and the short torture on PostgreSQL 14 to 18
	$(BIN)/python -m tests.majors all

check: lint types arch sql ## everything that reads the code without running it

lint: install ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## pyright, strict
	$(BIN)/pyright

arch: install ## imports only point down
	$(BIN)/lint-imports

sql: install ## squawk reads the migrations
	$(BIN)/squawk sql/migrations/*.up.sql

fmt: install ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## pin the dependencies anew
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --extra embedded --group dev --python-version 3.11 \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" --group pyproject.toml:build pyproject.toml -o deploy/requirements.lock

torture: install ## nothing lost, nothing twice: two minutes of every fault
	$(BIN)/python -m bench.torture --seconds 120

bench-write: install ## what the bell costs a sender
	$(BIN)/python -m bench.write

bench-fanout: install ## processor time per delivery beside nchan (needs nginx and libnginx-mod-nchan)
	$(BIN)/python -m bench.fanout

bench-latency: install ## from commit to the client's callback
	$(BIN)/python -m bench.latency

bench-storm: install ## five thousand streams come back at once
	$(BIN)/python -m bench.storm

bench-slow-reader: install ## clients that never read
	$(BIN)/python -m bench.slow_reader

soak: install ## thirty minutes of 2,000 streams with churn: memory and descriptors flat, nothing lost
	$(BIN)/python -m bench.soak

chaos: install ## the faults that operators fear, one by one (needs root for the full disk, pgbouncer for the pooler)
	$(BIN)/python -m bench.chaos

bench-stop: install ## SIGTERM with a thousand streams; Postgres away for ten seconds
	$(BIN)/python -m bench.stop

bench-inbox: install ## 100,000 random operations: functions, clients and a simple model must agree
	$(BIN)/python -m bench.inbox_model

bench-two-devices: install ## read on one device, the other has it
	$(BIN)/python -m bench.two_devices

bench-size: install ## a page and the counts among ten million notifications (needs 10 GB of disk)
	$(BIN)/python -m bench.size

bench-prune: install ## nine of ten million notifications pruned while others are delivered (needs 10 GB of disk)
	$(BIN)/python -m bench.prune

bench-widget: install ## the longest task of a page with five hundred items (needs a Chromium)
	$(BIN)/python -m bench.widget

bench-watch: install ## what a watched table costs a bulk UPDATE
	$(BIN)/python -m bench.watch

clean: ## remove what was made
	rm -rf $(VENV) .cache dist .pytest_cache .ruff_cache .import_linter_cache .grimp_cache .hypothesis
