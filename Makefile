# `make run` starts Guestlist for a look around. `make test` runs every check.
# Both set up .venv from the lock files, and again only after a change of a lock file or of pyproject.toml.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
HASHED := install --no-deps --require-hashes
NPM_QUIETLY := --ignore-scripts --no-audit --no-fund --loglevel=error
COMPILER := node_modules/.installed
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'

.PHONY: help
help:
	@echo 'make run    starts the service on http://localhost:8000 (PORT=9000 make run: another port)'
	@echo 'make test   runs the linters, the type checker and all tests (ARGS="-k link" make test: some of the tests)'
	@echo 'make lint   runs the linters and the type checker'
	@echo 'make lock   writes the lock files (UPGRADE=--upgrade make lock: with newer versions)'
	@echo 'make catalogues   updates service/locales with the messages of the source'
	@echo 'make operation-types   generates the types of the GraphQL operations of the pages'
	@echo 'make clean  removes everything that these commands created'

.PHONY: run
run: $(VENV)/.runtime
	@exec $(BIN)/guestlist dev --port $(PORT)

# Runs every check, even after a failed one. The last lines list the results.
CHECKS := 'ruff check .' 'ruff format --check .' 'lint-imports --no-logo' 'mypy' 'python -m tests.support.prose'
.PHONY: test
test: CHECKS += 'pytest -n auto --dist worksteal $(ARGS)'
.PHONY: lint
test: $(COMPILER)
test lint: $(VENV)/.dev
	@summary=''; status=0; \
	for check in $(CHECKS); do \
		printf '\n--- %s\n' "$$check"; \
		if $(BIN)/$$check; then outcome='passed'; else outcome='FAILED'; status=1; fi; \
		summary="$$summary  $$outcome  $$check\n"; \
	done; \
	printf "\nSummary\n$$summary"; \
	exit $$status

.PHONY: lock
lock: $(VENV)/.dev
	$(COMPILE) $(UPGRADE) --extra dev pyproject.toml --output-file requirements-dev.lock
	$(COMPILE) $(UPGRADE) --constraint requirements-dev.lock pyproject.toml --output-file requirements.lock
	$(COMPILE) $(UPGRADE) --constraint requirements-dev.lock requirements-build.in --output-file requirements-build.lock
	npm install $(NPM_QUIETLY) --package-lock-only --omit-lockfile-registry-resolved

# The messages of the source, and their translations. A message without a translation fails tests/test_languages.py.
EXTRACT := $(BIN)/pybabel --quiet extract --mapping-file babel.cfg -k gettext_noop -k ngettext_noop:1,2 -k sentence:2 \
	--no-location --sort-output --omit-header --no-wrap
UPDATE := $(BIN)/pybabel --quiet update --domain guestlist --output-dir service/locales --no-fuzzy-matching \
	--ignore-obsolete --ignore-pot-creation-date --no-wrap
.PHONY: catalogues
catalogues: $(VENV)/.dev
	@mkdir -p build
	@$(EXTRACT) --output build/guestlist.pot .
	@$(UPDATE) --input-file build/guestlist.pot

.PHONY: operation-types
operation-types: $(VENV)/.dev
	@$(BIN)/python -m service.dev.operation_types

.PHONY: clean
clean:
	rm -rf $(VENV) node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The build requirements have their own lock file, so that building the package needs no index.
$(VENV)/.runtime: requirements.lock requirements-build.lock pyproject.toml | $(BIN)/python
	@echo 'Setting up $(VENV)'
	@$(PIP) $(HASHED) -r requirements.lock
	@$(PIP) $(HASHED) -r requirements-build.lock
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo 'Setting up $(VENV) for tests'
	@$(PIP) $(HASHED) -r requirements-dev.lock
	@touch $@

# The TypeScript compiler only checks the pages' scripts. Without it, its tests are skipped with a notice.
$(COMPILER): package-lock.json package.json
	@echo 'Setting up node_modules for the types of the scripts'
	@rm -rf node_modules
	@if npm ci $(NPM_QUIETLY); then touch $@; else echo 'No TypeScript compiler: npm is missing, or cannot reach its registry.' >&2; fi

$(BIN)/python:
	@for python in $(PYTHONS); do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo 'Guestlist needs Python 3.11 or newer with venv, and found none as: $(PYTHONS).' >&2; \
	echo 'On Debian or Ubuntu: apt-get install python3 python3-venv' >&2; \
	exit 1
