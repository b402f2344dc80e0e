# make run    set everything up and run the main job on the embedded data
# make test   set everything up and pass the tests
# make check  types, style, import directions, manifests, committed tables
# make docs   the site, in site/; a warning is an error
# make bench  speed, as ratios taken in one run
# make bench-once  the same cases once each, untimed, in about six minutes: does each still run?
# make flips  500 times flipped bits in stored files: is a wrong number ever shown without a word?
# make kills-cluster  kill workers, actors and drivers of a plan, 20 times on Ray and 20 on submitit's local executor
# make kills  50 runs stopped or hindered as they write, by a layer before the disk: is anything lost, or other?
# make fuzz   hostile files of every kind that is read, for about four minutes: one line that names the file, or it is read
# make floors the tests that touch each dependency, with the lowest versions that pyproject.toml allows
# make wheel  build sdist and wheel in dist/, install the wheel in a clean environment, run it from an empty folder

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FLOORS ?= .venv-floors
FLOOR_TESTS ?= tests/cli tests/data tests/encoders tests/report tests/runs tests/scorers tests/methods/test_croft.py

.PHONY: run test check docs bench bench-once flips kills fuzz kills-cluster floors wheel setup clean

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
	$(BIN)/python tools/site/rows.py --check

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean  # not --quiet: warnings would not count

bench-once: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest benchmarks -p no:xdist --benchmark-disable

bench: setup
	$(BIN)/python -m pytest benchmarks -p no:xdist --benchmark-only --benchmark-columns=median,iqr,rounds

flips: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.flips 500

kills-cluster: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[ray,slurm]'
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.kills_cluster 20

kills: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.kills 50

fuzz: setup
	CROFTBENCH_FUZZ=5000 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto tests/test_fuzz.py

floors: $(FLOORS)/installed
	OMP_NUM_THREADS=1 $(FLOORS)/bin/python -m pytest -n auto $(FLOOR_TESTS)

$(FLOORS)/installed: pyproject.toml tools/floors.py
	$(PYTHON) -m venv $(FLOORS)
	$(FLOORS)/bin/python tools/floors.py > $(FLOORS)/floors.txt
	$(FLOORS)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint $(FLOORS)/floors.txt --editable '.[test]'
	touch $@

wheel: setup
	$(BIN)/python tools/wheel.py $(WHEEL_OPTIONS)

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "croftbench needs Python 3.11 or newer; try: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(FLOORS) dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .benchmarks
