# make run    set everything up and run the main job on the embedded data
# make test   set everything up and pass the tests
# make check  types, style, import directions, manifests, committed tables
# make bench  speed, as ratios taken in one run
# make flips  500 times flipped bits in stored files: is a wrong number ever shown without a word?

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test check bench flips setup clean

run: setup
	$(BIN)/croftbench run --method croft --results my-results

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/croftbench check
	$(BIN)/croftbench leaderboard --check

bench: setup
	$(BIN)/python -m pytest benchmarks -p no:xdist --benchmark-only --benchmark-columns=median,iqr,rounds

flips: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.flips 500

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "croftbench needs Python 3.11 or newer; try: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .benchmarks
