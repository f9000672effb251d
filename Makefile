# Every target makes its own .venv from requirements.lock first; nothing else needs to be installed but Python 3.11 or later.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup verify gallery test notebooks check lint types bench growth sweep nightly mutants dist docs lock clean

setup: $(READY)  ## .venv alone, which every other target makes too

verify: $(READY)  ## build and audit every construction; the report lands in reports/
	$(BIN)/weightwright verify all --out reports

gallery: $(READY)  ## the pictures of docs/gallery.md, from the reports of `make verify`
	$(BIN)/python -m verify.show.gallery reports docs/gallery.md

test: $(READY)  ## the test suite with shape types enforced, doctests and notebooks executed
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m pytest -n 2 --nbmake notebooks

notebooks: $(READY)  ## run the notebooks and store what they show
	$(BIN)/python -m pytest --nbmake --overwrite notebooks

check: lint types test  ## everything a change must pass

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/pyright

bench: $(READY)  ## ratios of evaluation times, measured side by side
	$(BIN)/python -m benchmarks.evaluation --out reports
	$(BIN)/python -m benchmarks.episodes --out reports
	$(BIN)/python -m benchmarks.compilers --out reports
	$(BIN)/python -m benchmarks.peers --out reports

growth: $(READY)  ## how building, evaluation and memory grow with every size, beside the algorithm's own time
	$(BIN)/python -m benchmarks.growth --out reports

sweep: $(READY)  ## depth, size and error of every solver, by horizon and error
	$(BIN)/weightwright sweep --out reports/sweep

nightly: $(READY)  ## the slow and exhaustive checks; shape types are enforced by day
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n 2 --durations=20 --jaxtyping-packages=
	OMP_NUM_THREADS=1 PYTHONPATH=docs/examples $(BIN)/python tests/tools/exhaustive.py --out docs/nightly.md

mutants: build/mutants/suite.log  ## is a changed line of constructions/ noticed by the tests that run it? (docs/mutants.md)
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.mutants

build/mutants/suite.log: $(READY)  # which tests run which line; to be made anew, delete it
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[mutants]'
	mkdir -p build/mutants
	COVERAGE_FILE=build/mutants/.coverage $(BIN)/python -m pytest -n 2 -vv --tb=short --durations=0 --durations-min=0 \
		--cov=constructions --cov-context=test --cov-report= > $@ || (tail $@; rm $@; false)

dist: $(READY)  ## a source archive and a wheel in dist/
	rm -rf build dist
	$(BIN)/python -c "from setuptools import build_meta; build_meta.build_sdist('dist'); build_meta.build_wheel('dist')"
	rm -rf build

docs: $(READY)  ## the site, in build/site: pages of docs/ and the API from docstrings
	$(BIN)/python -m mkdocs build --strict

lock:  ## write requirements.lock afresh from pyproject.toml
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install "torch==2.13.0" setuptools -e ".[dev]"
	$(BIN)/python -m pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/+cpu$$//' > requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"wanted Python 3.11 or later, got {sys.version.split()[0]}; try make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

clean:
	rm -rf .venv reports build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
