# Every target sets up what it needs in .venv; nothing else on the machine is touched.
#   make demo       the main job on data/samples, results in report/
#   make test       the tests (a few minutes)      make test-slow   the long ones
#   make check      ruff, mypy strict, tests       make bench       the benchmarks, against their peers
#   make notebooks  run the notebooks again        make clean       remove what was made
# PYTHON names the interpreter (3.11 or newer): make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
BENCHMARKS = $(filter-out benchmarks/_%.py,$(wildcard benchmarks/*.py))
PYTEST_ARGS ?= -n auto --dist loadfile

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow check bench notebooks clean

demo: $(VENV)/.ready-excel
	$(VENV)/bin/backorder-forecast demo --out report

test: $(VENV)/.ready-test
	$(PY) -m pytest $(PYTEST_ARGS)

# No slow test at all (exit code 5) is no failure.
test-slow: $(VENV)/.ready-test
	$(PY) -m pytest -m slow || [ $$? -eq 5 ]

check: $(VENV)/.ready-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest $(PYTEST_ARGS)

bench: $(VENV)/.ready-test $(VENV)/.ready-peers
	@for file in $(BENCHMARKS); do \
	  name=$$(basename $$file .py); echo "== $$name"; $(PY) -m benchmarks.$$name || exit 1; \
	done

notebooks: $(VENV)/.ready-notebooks $(VENV)/.ready-excel
	$(VENV)/bin/jupyter-execute --inplace $(wildcard notebooks/*.ipynb)

clean:
	rm -rf report build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/.python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" \
	  || { echo "Python 3.11 or newer is needed; name one with PYTHON=..., for example make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

# One stamp per extra, older than what it was made from when that changes.
$(VENV)/.ready-%: $(VENV)/.python pyproject.toml constraints.txt
	$(PY) -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	touch $@
