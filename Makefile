# What can be done here. Needs python3 (3.11 or later, with venv) and make; the rest is fetched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCALES := $(patsubst %.po,%.mo,$(wildcard vutler/locale/*/LC_MESSAGES/django.po))
PATHS ?= .
NODE_SDKS := tests/compat/node/node_modules/.installed
COMPAT := .venv-compat
MATRIX := $(COMPAT)/.installed tests/compat/matrix/node_modules/.installed

# For the verbs that only look at the code: throw-away values that protect nothing.
CHECK_ENV := SECRET_KEY=only-for-checks-3f9d0c5b7e1a48262c8d7f6e5a4b3c2d1e0f9a8b7c \
	FIELD_ENCRYPTION_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
	VAR_DIR=$(CURDIR)/$(VENV)/checks DATABASE_URL= METER_DATABASE_URL= REDIS_URL= DEBUG=false HTTPS=true

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run test setup check serve worker bench bench-meter lint types contracts deploy compat lock fmt messages shots machine

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.base $(LOCALES) ## try it: web, gateway and jobs on 127.0.0.1:8000 (PORT=9000), with a demo workspace
	@exec $(BIN)/python -m vutler.run

test: setup machine $(NODE_SDKS) ## install what the tests need, and pass them
	$(BIN)/python -m pytest -n 2 --dist loadgroup

setup: $(VENV)/.dev $(LOCALES) ## the virtual environment with all packages

check: setup lint types contracts deploy test ## all that CI runs

serve: $(VENV)/.base $(LOCALES) ## the production server, from the environment (HOST, PORT, WORKERS; docs/run.md)
	@exec $(BIN)/python -m vutler.serve

worker: $(VENV)/.base $(LOCALES) ## background jobs and their timetable (REDIS_URL)
	@exec $(BIN)/python -m vutler.worker

compat: setup machine $(NODE_SDKS) $(MATRIX) ## every client that people use, against the gateway
	$(BIN)/python -m pytest tests/compat -n 2 --dist loadgroup -o python_files='test_*.py check_*.py'

bench: setup ## one gateway process against a bare relay
	$(BIN)/python -m benchmarks.gateway

bench-meter: setup ## the meter in one Postgres: shipping, roll-ups and pages at 1 and 10 million records (an hour or less)
	$(BIN)/python -m benchmarks.rollups

lint: setup ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	@$(CHECK_ENV) $(BIN)/mypy .

contracts: setup ## import-linter: who may import whom
	@$(CHECK_ENV) $(BIN)/lint-imports

deploy: setup ## Django's own checks, and that no migration is missing
	@$(CHECK_ENV) $(BIN)/python manage.py check --deploy --fail-level WARNING
	@$(CHECK_ENV) $(BIN)/python manage.py makemigrations --check --dry-run

fmt: setup ## format and sort (PATHS=llm/)
	$(BIN)/ruff check --fix $(PATHS)
	$(BIN)/ruff format $(PATHS)

messages: setup ## collect the texts to translate into vutler/locale
	@$(CHECK_ENV) $(BIN)/python manage.py makemessages --all --no-obsolete --add-location file --ignore '.venv*' --ignore 'var/*' --ignore 'tests/*'

shots: setup machine ## walk through the pages and keep pictures in docs/images (SHOTS=dir)
	SHOTS=$${SHOTS:-docs/images} $(BIN)/python -m pytest tests/browser -q

lock: setup ## resolve requirements/*.in into the hashed requirements/*.txt
	@for name in uv base dev compat; do \
		$(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-annotate \
			--custom-compile-command "make lock" requirements/$$name.in -o requirements/$$name.txt; \
	done

machine: # the programs that tests drive: Postgres, Chromium, Node
	@$(PYTHON) tests/machine.py

%/node_modules/.installed: %/package-lock.json | machine
	@echo "Installing Node.js packages ($*) …"
	@cd $* && npm ci --silent --no-audit --no-fund
	@touch $@

# --- packages -------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: PYTHON=python3.11 make …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: requirements/base.txt | $(BIN)/python
	@$(call install,base,$(BIN))

$(VENV)/.dev: requirements/dev.txt | $(BIN)/python
	@$(call install,dev,$(BIN))
	@touch $(VENV)/.base # it's all in there

$(COMPAT)/.installed: requirements/compat.txt | $(BIN)/python
	@$(PYTHON) -m venv $(COMPAT)
	@$(call install,compat,$(COMPAT)/bin)

# uv takes 2 seconds where pip takes 25, but it doesn't read pip's configuration: give it pip's index, and where it
# fails all the same (a mirror that only pip knows how to reach), let pip do it. Tests start dozens of processes, so
# what they need is compiled once.
define install
	echo "Installing packages ($(1)) …"; \
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt 2>/dev/null; \
	index=$${PIP_INDEX_URL:-$$($(BIN)/pip config get global.index-url 2>/dev/null)}; \
	UV_DEFAULT_INDEX=$${UV_DEFAULT_INDEX:-$$index} \
		$(BIN)/uv pip install -q $(if $(filter dev,$(1)),--compile-bytecode) --python $(2)/python --require-hashes \
			-r requirements/$(1).txt 2>/dev/null \
	|| $(2)/pip install -q --disable-pip-version-check --require-hashes -r requirements/$(1).txt || exit 1; \
	touch $@
endef

%.mo: %.po | $(VENV)/.base
	@$(BIN)/pybabel -q compile -i $< -o $@
