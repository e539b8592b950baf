# make demo: watch the first paper work.  make test: prove it.  Needs Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
SERIES := deep_cross_modal

.PHONY: demo test lab lock notebooks clean

demo: .venv/ready
	$(BIN)/avnb run $(SERIES) --scale laptop

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	mkdir -p build
	$(BIN)/python tools/notebook_tools.py smoke > build/smoke.txt
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=600 $$(cat build/smoke.txt)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lab: .venv/ready
	$(BIN)/avnb lab

# The text halves are the source: write the .ipynb halves from them.
notebooks: .venv/ready
	$(BIN)/python tools/notebook_tools.py sync

# Choose versions anew; the lock names no index.
lock: .venv/ready
	$(BIN)/uv pip compile pyproject.toml --extra test --universal --fork-strategy fewest \
		--generate-hashes --no-header --no-annotate --quiet \
		--output-file requirements.lock

clean:
	rm -rf .venv build

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'avnb needs Python 3.11 or newer: make PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --editable .
	touch $@
