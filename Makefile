# Everything a person or CI runs. `make run` and `make test` need Python and nothing else: no root, no Debian packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(PYTHON) scripts/environment.py

# The loop that edgegw serves on, and Twisted's own; every test passes on both.
REACTORS ?= uvloop epoll

# Every test package but those that need real servers, which `make live` installs and starts.
NEEDS_SERVERS := tests.live tests.drills tests.nightly
TESTS ?= $(filter-out $(NEEDS_SERVERS),$(subst /,.,$(patsubst %/__init__.py,%,$(sort $(wildcard tests/*/__init__.py benchmarks/tests/__init__.py))) $(patsubst %.py,%,$(sort $(wildcard tests/test_*.py)))))

# `make live LIVE=tests.live.test_grpc` narrows it.
LIVE ?= tests.live
NIGHTLY ?= tests.nightly tests.live.test_autobahn

.DEFAULT_GOAL := help
.PHONY: help setup run test live nightly bench format format-check lint types contracts docs wheel check clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything for working on edgegw
	@$(SETUP) test dev

run: ## a demo origin and the gateway in front of it, on http://127.0.0.1:8080/
	@$(SETUP)
	@exec $(BIN)/python examples/demo/run.py

test: ## every test that needs only Python, once per reactor (TESTS=tests.wire REACTORS=uvloop to narrow)
	@$(SETUP) test
	@failed=0; for reactor in $(REACTORS); do \
	  echo "--- trial on the $$reactor reactor"; mkdir -p .build; \
	  $(BIN)/python -m twisted.trial --reactor $$reactor --temp-directory .build/trial-$$reactor $(TESTS) || failed=1; \
	done; exit $$failed

live: ## tests against real servers; installs what they need (root, or have it installed)
	@$(SETUP) test dev live
	@$(BIN)/python -m tests.live.install
	@$(BIN)/python -m tests.live.run $(LIVE)

nightly: ## what takes too long for every change: Autobahn whole, the gRPC interop suite, a million requests
	@$(SETUP) test dev live
	@$(BIN)/python -m tests.live.install
	@mkdir -p .build; EDGEGW_NIGHTLY=1 $(BIN)/python -m twisted.trial --temp-directory .build/trial-nightly $(NIGHTLY)

bench: ## side by side with nginx, HAProxy, Envoy, Caddy, Traefik: ratios, written to benchmarks/results
	@$(SETUP) test dev
	@$(BIN)/python -m benchmarks

format: ## write every Python file the one way
	@$(SETUP) test dev
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

format-check: ## say which files `make format` would change
	@$(SETUP) test dev
	@$(BIN)/ruff format --check .

lint: ## the rules of style, banned names among them
	@$(SETUP) test dev
	@$(BIN)/ruff check .

types: ## mypy --strict with mypy-zope
	@$(SETUP) test dev
	@$(BIN)/mypy

contracts: ## the floors of the architecture, and who may import what
	@$(SETUP) test dev
	@$(BIN)/lint-imports --no-logo && $(BIN)/lint-imports --no-logo --config .importlinter-cycles.toml

docs: ## links resolve, examples pass `edgegw check`, generated pages are current
	@$(SETUP) test dev
	@$(BIN)/python scripts/check_docs.py
	@mkdir -p .build; $(BIN)/towncrier build --draft --version next > .build/news.md && echo "news: ok"

wheel: ## build the wheel into dist/
	@$(SETUP) test dev
	@$(BIN)/python -m build --wheel

check: ## what CI runs
	@bash .ci/run

clean: ## remove everything that the targets above made
	@rm -rf $(VENV) .build build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis _trial_temp*
