# bcclone: `make` shows the commands. Only python3 and make are needed to begin with.
PYTHON ?= python3
BIN := .venv/bin
# the environment with what bcclone needs to run, and with the packages of its tests, too
RUNS := .venv/runs
STAMP := .venv/installed
TESTS ?=
# processes that run tests; one more than most machines of CI have cores, because many tests wait
WORKERS ?= 3
RUFF = $(BIN)/ruff check . && $(BIN)/ruff format --check .
TYPES = printf '%s\n' linux win32 darwin | xargs -P 3 -I SYSTEM $(BIN)/mypy --platform SYSTEM --cache-dir .mypy_cache/SYSTEM \
  && $(BIN)/lint-imports --no-cache
# where it is set, each of the hundreds of processes that tests start would compile bcclone anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-slow test-long coverage lint bench docs docs-links dist audit lock clean

help:            ## show these commands
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+: +##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: $(RUNS)    ## record, train and drive a lap without the simulator, into demo/
	$(BIN)/bcclone demo

# types and import contract take one processor for a minute, beside the tests; what they find follows
test: $(STAMP)   ## lint, types, import contract and the fast tests; this is what CI runs
	$(RUFF)
	@mkdir -p build; { $(TYPES); } > build/types.log 2>&1 & types=$$!; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(if $(TESTS),-m "$(TESTS)"); tests=$$?; \
	wait $$types || { cat build/types.log; exit 1; }; exit $$tests

test-slow:       ## the same and the slow tests: laps, more whole processes and kills; before a push
	@$(MAKE) test TESTS="not long"

test-long: $(STAMP) ## every test: real recordings, hundreds of kills, each command that the pages show; an hour
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "slow or not slow" --timeout 1800

# Tests of a full disk fail here: coverage's own file does not fit either. What counts is the report.
coverage: $(STAMP) ## which branches the tests run, in all processes; at least 90 %
	mkdir -p build/coverage && rm -f build/coverage/*
	-$(BIN)/coverage run -m pytest -q -n $(WORKERS) --dist worksteal -m "not long"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

lint: $(STAMP)   ## ruff, mypy and import-linter only
	$(RUFF)
	$(TYPES)

# Install packages into .venv: by uv, which takes a fraction of pip's time; by pip where uv cannot be had, or does not
# reach what pip reaches. The pip that comes with Python takes three times as long as the newest. Python compiles the
# modules that are imported; compiling all of them here takes pip as long as half of the rest. -qq leaves out warnings.
PIP = $(BIN)/python -m pip install -qq --constraint constraints.txt
by_uv = { test -x $(BIN)/uv || $(PIP) uv; } \
  && $(BIN)/uv pip install --quiet --python .venv --constraint constraints.txt --editable '$(1)' $(2)
by_pip = echo "not by uv, but by pip, which takes a few minutes" && $(PIP) pip && $(PIP) --no-compile --editable '$(1)'

# Each stamp is made once, and again only when what is declared changes. It is written last, so a broken installation is
# never taken for a complete one.
#
# TensorFlow is two thirds of what is fetched. With uv, it comes last: meanwhile a simulated frame compiles the renderer.
# Then TensorFlow is imported once, which compiles its modules, so that the demo does not begin with that.
WITHOUT_TENSORFLOW := .venv/without-tensorflow.txt
$(RUNS): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "bcclone needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "python3 cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "installing bcclone and its packages into .venv"
	@echo 'tensorflow; sys_platform == "none"' > $(WITHOUT_TENSORFLOW)
	@$(call by_uv,.,--overrides $(WITHOUT_TENSORFLOW)) || { $(call by_pip,.); }
	@echo "installing TensorFlow, and compiling the simulator"
	@{ { $(call by_uv,.) || { $(call by_pip,.); }; } && $(BIN)/python -c 'import tensorflow'; } > .venv/tensorflow.log 2>&1 & \
	  rm -rf .venv/first; $(BIN)/bcclone simulate record .venv/first --laps 0.01 --quiet > .venv/first.log; recorded=$$?; \
	  wait $$! || { cat .venv/tensorflow.log; exit 1; }; exit $$recorded
	@touch $(RUNS)

# Tests are collected, so that the processes that run them do not all compile the same modules; faults show later.
$(STAMP): $(RUNS)
	@echo "installing the packages of the tests into .venv"
	@$(call by_uv,.[dev]) || { $(call by_pip,.[dev]); }
	@$(BIN)/python -m pytest --collect-only -q > .venv/collected.log 2>&1 || true
	@touch $(STAMP)

bench: $(STAMP)  ## list the benchmarks; one of them: .venv/bin/python -m benchmarks NAME
	@$(BIN)/python -m benchmarks --help

docs: $(STAMP)   ## the pages of docs/, into build/docs/
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs

docs-links: $(STAMP) ## look whether the links of docs/ to other sites lead somewhere (needs the network)
	$(BIN)/sphinx-build -q -b linkcheck docs build/links

dist: $(STAMP)   ## build the packages into dist/, check them, and test the wheel outside the clone (needs the network)
	rm -rf dist && $(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m pytest -m "slow or long" --timeout 1800 tests/repository/test_packaging.py

audit: $(STAMP)  ## look whether what constraints.txt installs has known vulnerabilities (needs pypi.org)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[audit]'
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

lock:            ## write constraints.txt anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --extra gpu --extra cluster --extra s3 --extra audit --group install --universal --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --output-file constraints.txt

clean:           ## remove the environment and the caches
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
