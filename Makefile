# Everything happens in .venv, made on the first call. Only Python >= 3.11 and make are needed beforehand.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help setup demo test lint types bench clean
help:             ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

setup: $(VENV)/.installed  ## make .venv and install elman with all its extras

# The native kernels are built by the last line, where there is a C++ compiler.
# torch goes first and alone: with it in place, nothing that follows can pull in another build of it.
$(VENV)/.installed: pyproject.toml setup.py constraints-dev.txt $(wildcard src/elman/kernels/native/*.cpp src/elman/kernels/native/*.h)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'elman needs Python >= 3.11: make PYTHON=python3.12 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints-dev.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints-dev.txt -e '.[dev]'
	@touch $@

demo: setup       ## train on the Python standard library for a minute, then write with it
	@$(BIN)/elman train python-stdlib --for 1m -o runs/demo --overwrite
	@$(BIN)/elman generate runs/demo 'def ' --tokens 400 --temperature 0.7 --seed 1
	@echo
	@echo 'Next: $(BIN)/elman train YOUR_TEXT.txt --for 2m     your own text'
	@echo '      $(BIN)/elman generate runs/demo "class "      write more with this model'
	@echo '      $(BIN)/elman --help                           everything else'

test: setup lint types  ## lint, types and every test
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

bench: setup      ## the benchmarks that need no data (see benchmarks/README.md)
	$(BIN)/python benchmarks/loop.py
	$(BIN)/elman bench

clean:            ## remove what was built
	rm -rf $(VENV) build src/elman/kernels/native/_core.* dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
