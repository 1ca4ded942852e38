# SPDX-License-Identifier: Apache-2.0
# `make demo` shows a container's life; `make test` runs everything, also in a machine of its own with
# systemd and cgroup v2 (tests/guest). Both install what is missing.

PYTHON ?= /usr/bin/python3
VENV   := .venv
PGO    ?= 1
BIN    := $(VENV)/bin
C      := $(filter-out csrc/image/%,$(wildcard csrc/*/*.c csrc/*/*.h tests/c/*.c))
# The command that the tests ask, where it can be built.
EXECUTABLE := $(if $(filter x86_64,$(shell uname -m)),dist/pyrunc)
IMAGE  := $(wildcard csrc/image/*.c csrc/image/*.h tools/static/*.c)
PROBE  := $(wildcard oci-conformance/suite/probe.*)
# What is formatted: not the generated header, nor headers that cffi reads as text.
FORMAT := $(filter-out csrc/init/plan_wire.h,$(C)) $(PROBE) $(IMAGE)

.PHONY: build demo test test-unit test-root test-plain test-pythons test-injection test-conformance test-guest test-engines static wheel guest lint bench fuzz executable clean deps

build: $(VENV)/.built

# Debian and Ubuntu; elsewhere, and for an ordinary user, the packages have to be there.
$(VENV)/.packages: tools/packages.sh tools/requirements.txt
	@sh tools/packages.sh
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -r tools/requirements.txt
	@touch $@

# The library, and the command as an ordinary program of Python.
$(VENV)/.built: $(VENV)/.packages setup.py pyproject.toml $(C) csrc/build_core.py csrc/core/*.cdef
	@$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

# The command as one executable that needs nothing on the host (docs/static.md): 8 minutes the
# first time, ten seconds with what is kept in ~/.cache/pyrunc-static. PGO=0 halves the first time,
# and makes an executable that is a tenth slower.
static: dist/pyrunc

STATIC := $(IMAGE) $(wildcard csrc/core/* tools/static/*) $(shell find pyrunc -name '*.py' -o -name '*.json')
dist/pyrunc: $(VENV)/.built $(STATIC)
	@sh tools/packages.sh static
	@$(BIN)/python tools/static/build.py $(if $(filter-out 0,$(PGO)),--pgo)

# Where its sources are not to be had, the tests ask the plain command, which their first lines say.
executable: build
ifdef EXECUTABLE
	@sh tools/packages.sh static
	@if $(BIN)/python tools/static/build.py --fetch; then $(MAKE) --no-print-directory dist/pyrunc; \
	else echo "executable: NOT BUILT, its sources are not to be had; the tests ask the plain command"; fi
endif

# A wheel with the executable as its command, for this machine and this Python's version. Without
# debugging data, which names the directory of the build; from nothing that an earlier one left.
WHEELS ?= dist
wheel: dist/pyrunc
	@rm -rf build/lib* build/bdist* build/scripts*
	@PYRUNC_EXECUTABLE=dist/pyrunc CFLAGS=-g0 LDFLAGS=-s $(BIN)/pip wheel -q \
	    --disable-pip-version-check --no-build-isolation --no-deps -w $(WHEELS) .

demo: build
	@sh tools/demo.sh $(CURDIR)/$(BIN)/pyrunc

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	clang-format --dry-run -Werror $(FORMAT)

test-unit: build
	$(BIN)/pytest -q tests/unit

test-root: build $(EXECUTABLE)
	$(BIN)/pytest -q tests/integration tests/differential

# The same command as an ordinary program of Python, in what callers parse and in a container's life.
PLAIN := tests/contract/test_rows.py tests/integration/test_lifecycle.py
test-plain: build
	PYRUNC_COMMAND=$(BIN)/pyrunc $(BIN)/pytest -q $(PLAIN)

# Each system call of pyrunc-init with each fault: half an hour.
test-injection: build $(EXECUTABLE)
	PYRUNC_TEST_ALL_FAULTS=1 $(BIN)/pytest -q tests/integration/test_injection.py

# Where packages cannot be installed, what follows says what it lacks.
$(VENV)/.guest-packages: tools/packages.sh | $(VENV)/.packages
	@sh tools/packages.sh guest && touch $@ || :

# A build and a container's life with each Python that this host has, from 3.11 on: the newest is
# among the tests.
test-pythons: build
	PYRUNC_TEST_PYTHONS=1 $(BIN)/pytest -q tests/integration/test_builds.py

# The whole conformance suite, against runc too, and every broken runtime: a quarter of an hour.
test-conformance: build $(EXECUTABLE)
	PYRUNC_TEST_CONFORMANCE=1 $(BIN)/pytest -q tests/integration/test_conformance.py

guest: $(VENV)/.guest-packages dist/pyrunc
	@tests/guest/run sh -c 'uname -sr; systemctl is-system-running; pyrunc --version'

test-guest: $(VENV)/.guest-packages dist/pyrunc
	@tests/guest/check

# What `make test` leaves out of it: each engine command by command, of root and of an unprivileged
# user, an hour; docs/engines.md has what came of it.
ENGINES := build/guest/out/engines
test-engines: $(VENV)/.guest-packages dist/pyrunc
	@rm -rf $(ENGINES)
	@tests/guest/run --out $(ENGINES) --timeout 7200 --env PYRUNC_TEST_ENGINES=1 \
	    python3 -m pytest -q -p no:cacheprovider tests/engines tests/guest/test_rootless_engines.py; \
	code=$$?; $(BIN)/python -m tests.engines.table $(ENGINES)/engines.jsonl; exit $$code

# A machine has two processors: pure code, the comparisons with peers and the plain command beside all
# the others. The latter has a directory of its own: pytest shuts the usual one to others when it starts,
# which containers with a user namespace are on their way through.
BESIDE := tests/unit tests/contract tests/differential
test: lint executable
	@mkdir -p build
	@{ $(BIN)/pytest -q $(BESIDE); code=$$?; \
	    own=$$(mktemp -d) && PYRUNC_COMMAND=$(BIN)/pyrunc $(BIN)/pytest -q --basetemp="$$own" $(PLAIN) || code=$$?; \
	    rm -rf "$$own"; exit $$code; } > build/beside.log 2>&1 & beside=$$!; \
	trap 'kill $$beside' INT TERM; \
	$(BIN)/pytest -q tests $(BESIDE:%=--ignore=%); code=$$?; \
	wait $$beside || code=$$?; cat build/beside.log; exit $$code
	@if [ -e dist/pyrunc ]; then $(MAKE) --no-print-directory test-guest; \
	else echo "guest: SKIPPED, its tests have not run: there is no dist/pyrunc"; fi

# 100,000 command lines and environments, asked of the executable and of the plain command, in
# namespaces of their own: an hour. A sample of it is among the tests.
fuzz: build $(EXECUTABLE)
	$(BIN)/python -m tests.fuzz.fuzz

bench: build $(EXECUTABLE)
	$(BIN)/python -m tests.bench.bench

clean:
	rm -rf $(VENV) build dist pyrunc/pyrunc-init pyrunc/kernel/*.so pyrunc/kernel/_*.c
