# Needs Python 3.11 or newer, nothing else. `make` shows what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo test compose clean

help:
	@echo "make demo     set up .venv and run the demo on loopback (ARGS=\"--help\" for its options)"
	@echo "make test     run every check: lint, types, import contract, tests"
	@echo "make compose  run the demo as three containers"
	@echo "make clean    remove .venv and what runs have written"

demo: $(VENV)/.demo
	$(BIN)/offramp demo $(ARGS)

# Bytecode is kept: else each worker, and each process that a test starts, compiles all anew.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not e2e" -n 2 --dist worksteal
	$(BIN)/python -m pytest -m e2e

compose:
	docker compose up --build --abort-on-container-exit --exit-code-from device

clean:
	rm -rf $(VENV) runs

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Offramp needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[demo]'
	touch $@

# torch goes in first and exactly pinned: a looser request may fetch gigabytes of CUDA packages.
$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install -q torch==2.13.0
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.demo
