# make demo: watch the first paper work.  make test: prove it.  Needs Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
SERIES := deep_cross_modal
# Two workers, one thread each: more threads than cores only wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo play test quick check lab site class lock notebooks results clean

demo: .venv/ready
	$(BIN)/avnb run $(SERIES) --scale laptop

# The playing notebook of the first paper, with the published weights: no training.
play: .venv/ready
	$(BIN)/avnb play $(SERIES) $(LAB)

# Every notebook is executed once: see tests/notebooks/test_whole_series.py. To run what
# it leaves out: .venv/bin/python -m pytest -m weekly tests
test: check
	$(PYTEST) -m "not weekly" --durations=20 --nbmake --nbmake-timeout=600 \
		tests $$($(BIN)/python tools/notebook_tools.py defining)

# What to run before a commit: three minutes.
quick: check
	$(PYTEST) -m "not slow and not gpu" tests

# Style, spelling and types.
check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy

# The notebooks, as your own copy in course/, in JupyterLab. LAB="--port 9000" and so on.
lab: .venv/ready
	$(BIN)/avnb lab $(LAB)

# The executed notebooks of make demo, as pages and as slides.
site: .venv/ready
	$(BIN)/python tools/make_site.py build/site

# Exercise notebooks and sheets for a class: see TEACHING.md.
class: .venv/ready
	$(BIN)/python tools/make_class.py build/class

# The text halves are the source: write the .ipynb halves from them. An .ipynb half that
# was changed since is not overwritten, but with FORCE=--force.
notebooks: .venv/ready
	$(BIN)/python tools/notebook_tools.py sync $(FORCE)

# README's tables, from the reference runs in results/.
results: .venv/ready
	$(BIN)/python tools/reference_tables.py

# Write the lock anew: what it pins stays, as far as pyproject.toml allows. For newer
# versions: make lock UPGRADE="--upgrade-package NAME". The lock names no index. torch
# stays at 2.11, the last version that has a torchaudio.
lock: .venv/ready
	$(BIN)/uv pip compile pyproject.toml --extra lab --extra test --universal \
		--fork-strategy fewest --generate-hashes --no-header --no-annotate --quiet \
		--output-file requirements.lock $(UPGRADE)

clean:
	rm -rf .venv build

# Bytecode is compiled here, as pip does it. Where PYTHONDONTWRITEBYTECODE is set, as in
# many containers, every kernel would otherwise compile torch and its kin anew.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'avnb needs Python 3.11 or newer: make PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode \
		requirements.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --editable .
	touch $@
