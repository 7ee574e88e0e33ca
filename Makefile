# Two commands, each with all its own set-up: `make demo` and `make test`.

VENV   := .venv
PY     := $(VENV)/bin/python
# Two test processes with a thread each: with more, they wait for one another's threads.
ONE    := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
STAMP  := $(VENV)/.installed
# The first Python of a version that the project supports.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& { echo $$p; break; }; done)

.PHONY: demo test lint slow golden docs examples clean help

help:
	@echo "make demo    fit the CO2 model to the Mauna Loa record and draw its forecast"
	@echo "make test    lint and run the tests"
	@echo "make slow    also the tests that take minutes"
	@echo "make lint    ruff, mypy and pyright"
	@echo "make docs    build the documentation into site/"
	@echo "make examples  run all examples, and keep the picture of each in its folder"
	@echo "make golden  write the golden files of error messages anew, to be read as a diff"

demo: $(STAMP)
	@$(PY) -m examples.run co2

test: $(STAMP) lint
	@$(ONE) $(PY) -m pytest -q -n 2 --dist loadfile -m "not slow"

slow: $(STAMP)
	@$(ONE) $(PY) -m pytest -q -n 2 --dist loadfile

lint: $(STAMP)
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy && $(PY) -m pyright --pythonpath $(PY)

golden: $(STAMP)
	@MERCER_GOLDEN=write $(PY) -m pytest -q tests/bad; git diff --stat -- tests/bad

docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "The site is site/index.html"

examples: $(STAMP)
	@$(PY) -m examples.run --all

clean:
	rm -rf build dist *.egg-info out site .mypy_cache .ruff_cache .pytest_cache

$(STAMP): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11, 3.12 or 3.13 is needed, and was not found."; exit 1; fi
	@test -x $(PY) || { echo "Making $(VENV) with $(PYTHON) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing Mercer and what it needs into $(VENV) (minutes the first time) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $(STAMP)
