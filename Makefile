# Three commands do everything on a fresh machine with Python 3.11, pip and make:
#   make demo    see the runner work, at no cost, on stand-ins
#   make studio  rehearse the thirteen tasks of examples/studio, and what a month of them costs
#   make test    lint, types, import contracts, tests, coverage
PYTHON ?= python3
BIN := .venv/bin
MINUTES ?= 600

# Tests start Python a thousand times: what it reads is compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo studio test covered soak hostile load mutants docs lint types contracts bench clean

demo: .venv/ready
	$(BIN)/runner demo

studio: .venv/ready
	cd examples/studio && ../../$(BIN)/runner rehearse --cost

test: .venv/ready lint contracts
	$(MAKE) -j2 types covered

covered: .venv/ready
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 3 --maxschedchunk 1
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The long way round: what 'make test' samples, in full.
soak: .venv/ready
	$(BIN)/python -m pytest tests/test_telegram_fuzz.py --updates 100000
	$(BIN)/python -m pytest -n 2 --maxschedchunk 1 tests/test_time.py tests/test_ledger.py --zones 1000 --lives 1000
	$(BIN)/python -m pytest -n 2 --maxschedchunk 1 tests/test_crash_points.py --crash-points all
	$(BIN)/python -m pytest tests/test_stops.py tests/test_app.py tests/test_cli.py --stops 1000 --kills 100 --commands 100
	$(BIN)/python -m pytest -n 2 --maxschedchunk 1 tests/test_walk.py tests/test_kept_walks.py --walks 10000 --steps 16

# As whoever calls it; root tries as an ordinary user too.
hostile: .venv/ready
	$(BIN)/python tests/hostility.py

# Ten hours of a busy owner; MINUTES=60 for one of them.
load: .venv/ready
	$(BIN)/python -m pytest tests/test_load.py --minutes $(MINUTES)

# Small bugs planted one by one: is each promise held by a test?
mutants: .venv/ready
	$(BIN)/python tests/planted/plant.py

# The page of all settings, from the code that reads them.
docs: .venv/ready
	$(BIN)/python -m runner.cli.reference > docs/settings.md

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

contracts: .venv/ready
	$(BIN)/lint-imports --no-cache

bench: .venv/ready
	$(BIN)/python bench/bench.py

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "signoff-runner needs Python 3.11 or newer; got " + sys.version.split()[0] + ". Name one: make PYTHON=python3.12 demo")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-ordinary .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
