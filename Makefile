# Needs Python 3.11+, make and a C++ compiler; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal
FILES := pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*.?pp native/kernels/*)
# Python and pytest keep what they compile (__pycache__), also where a shell says otherwise: every
# process of the tests would compile the tests anew.
unexport PYTHONDONTWRITEBYTECODE
# What builds lenet, in .venv itself: where pip isolates the build, it compiles everything anew.
INSTALL = $(PIP) cmake nanobind ninja scikit-build-core && $(PIP) --no-build-isolation --editable

.PHONY: help train lab test test-all test-slow test-browsers test-wheel release-check lint check format sanitize sanitize-address sanitize-thread bench records docs clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

train: $(VENV)/core.stamp ## set up the core and train LeNet (ARGS="mnist-adamw --epochs 5" for others)
	$(BIN)/lenet train $(ARGS)

lab: $(VENV)/lab.stamp ## set up the lab and open its page (ARGS="--no-browser --port 8080")
	$(BIN)/lenet lab $(ARGS)

test: $(VENV)/all.stamp ## set up everything and run the fast tests (ARGS="tests/test_zoo.py" for a few)
	$(PYTEST) -m "not slow" $(ARGS)

# Browsers apart: Playwright keeps an event loop running in its process until the end.
test-all: $(VENV)/all.stamp ## run all tests: whole trainings, browsers, killed processes too
	$(PYTEST) --ignore tests/web $(ARGS)
	$(PYTEST) tests/web $(ARGS)

test-slow: $(VENV)/all.stamp ## run what test-all has besides test and the browsers
	$(PYTEST) -m slow --ignore tests/web $(ARGS)

test-browsers: $(VENV)/all.stamp ## run the tests of the lab's page in browsers
	$(PYTEST) tests/web $(ARGS)

test-wheel: $(VENV)/all.stamp ## run a telling part of the tests on an installed wheel
	scripts/test_wheel.sh $(ARGS)

release-check: $(VENV)/all.stamp ## check version, sdist and wheel, and test them (ARGS=--final: its date too)
	$(BIN)/python scripts/release_check.py $(ARGS)

lint: $(VENV)/all.stamp ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror native/*.?pp native/kernels/*.hpp native/c/* tests/*.c
	$(BIN)/biome ci
	DENO_DIR=$(VENV)/deno DENO_NO_UPDATE_CHECK=1 $(BIN)/deno check --quiet src/lenet/lab/page
	$(BIN)/mypy src tests scripts bench
	printf '%s\n' win32 darwin | xargs -P 2 -I {} $(BIN)/mypy --platform {} --cache-dir .mypy_cache/{} src

check: lint ## lint, then the fast tests: before every commit
	$(PYTEST) -m "not slow" $(ARGS)

format: $(VENV)/all.stamp ## put every file into the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i native/*.?pp native/kernels/*.hpp native/c/* tests/*.c
	$(BIN)/biome check --write

sanitize: sanitize-address sanitize-thread ## run the native engine's tests under the compiler's sanitizers

sanitize-address: $(VENV)/all.stamp ## the one half of it: AddressSanitizer and UBSan
	scripts/sanitize.sh 'address;undefined' $(ARGS)

sanitize-thread: $(VENV)/all.stamp ## the other half: ThreadSanitizer
	scripts/sanitize.sh thread $(ARGS)

bench: $(VENV)/all.stamp ## measure this machine: engines side by side
	$(BIN)/lenet bench $(ARGS)

records: $(VENV)/core.stamp ## the least time to 0.816 and 0.90 on Fashion-MNIST, 0.99 on MNIST (ARGS="--tutorials 1")
	$(BIN)/python bench/records.py $(ARGS)

docs: $(VENV)/all.stamp ## make the site of the documents: build/docs/index.html
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet docs build/docs $(ARGS)
	@echo build/docs/index.html

clean: ## remove what was built, but no runs
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "LeNet needs Python 3.11 or later, this is " + sys.version.split()[0] + "; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: $(VENV)/bin/python $(FILES)
	$(INSTALL) .
	@$(BIN)/python -c 'import lenet._native' 2>/dev/null || echo "The native engine could not be\
	 built: lenet trains without it. LENET_REQUIRE_NATIVE=1 $(BIN)/pip install --editable . says why."
	@touch $@

$(VENV)/lab.stamp: $(VENV)/bin/python $(FILES)
	$(INSTALL) '.[lab]'
	@touch $@ $(VENV)/core.stamp

$(VENV)/all.stamp: export LENET_REQUIRE_NATIVE = 1
$(VENV)/all.stamp: $(VENV)/bin/python $(FILES)
	$(INSTALL) '.[all]'
	@touch $@ $(VENV)/core.stamp $(VENV)/lab.stamp
