# Dionysus: the commands of a checkout. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PY := .venv/bin/python
BIN := .venv/bin
ARGS ?=
PYTHON ?=
SECONDS ?= 60
# Tests that need a running part or a build; `make test` runs them too.
PARTS_EXPRESSION := docker or gvisor or neo4j or postgres or browser or typescript or clone
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

.PHONY: help demo test test-all fast fuzz checks fetch lint types contracts format lock wheel clean venv-runtime venv-dev

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv-runtime ## Read this project's own docs and history into memory, and ask a question about them
	@$(PY) scripts/demo.py $(ARGS)

test: checks ## Lint, types, contracts, and the tests with their real parts (ALLOW_MISSING="docker ..." leaves parts out)
	@$(PY) scripts/run_tests.py $(ARGS)

test-all: checks ## The same in its whole breadth: everything under every engine, and longer
	@$(PY) scripts/run_tests.py --exhaustive $(ARGS)

fast: venv-dev ## The tests that need no provisioned part
	@$(PY) scripts/run_tests.py --once --parts "" -m "not ($(PARTS_EXPRESSION))" $(ARGS)

fuzz: venv-dev ## Feed the sandbox's host hostile bytes for a minute, guided by coverage (SECONDS=60; needs atheris)
	@$(PY) -c 'import atheris' 2>/dev/null || { echo "Needs atheris: $(PY) -m pip install --group fuzz"; exit 1; }
	@mkdir -p .fuzz && cd .fuzz && PYTHONPATH=.. ../$(PY) -m tests.sandbox.docker.fuzz.coverage_guided -max_total_time=$(SECONDS)

# Lint, types and contracts, while the parts of the tests are fetched.
checks: venv-dev
	@$(MAKE) --no-print-directory --jobs=4 lint types contracts fetch

fetch:
	@$(PY) scripts/run_tests.py --fetch

lint: venv-dev ## Formatting and lint
	@$(BIN)/ruff format --check --quiet --output-format concise . || { echo "Run 'make format'."; exit 1; }
	@$(BIN)/ruff check --quiet --output-format concise .

types: venv-dev ## Static types, strict
	@$(BIN)/pyright --pythonpath $(PY)

contracts: venv-dev ## Which package may import which
	@$(BIN)/lint-imports --no-logo

format: venv-dev ## Format the code and mend what lint can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: ## Resolve the lock files anew from pyproject.toml (needs uv in PATH)
	@$(LOCK) pyproject.toml --group build -o requirements.lock
	@$(LOCK) pyproject.toml --group build --group dev -c requirements.lock -o requirements-dev.lock
	@echo 'uv>=0.13' | $(LOCK) - -o scripts/uv.lock
	@echo "Resolved requirements.lock, requirements-dev.lock and scripts/uv.lock."

wheel: venv-runtime ## Build the wheel into dist/
	@$(BIN)/pyproject-build --no-isolation --wheel

clean: ## Remove what the commands made in this checkout (.venv, .demo, caches); the cache outside stays
	@rm -rf .venv .demo .fuzz dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

venv-runtime:
	@PYTHON="$(PYTHON)" scripts/venv.sh runtime

venv-dev:
	@PYTHON="$(PYTHON)" scripts/venv.sh dev
