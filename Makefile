# Every target makes .venv from the locked dependencies when it is missing or stale; a second call starts at once.
PYTHON  ?= python3
BIN     := .venv/bin
STAMP   := .venv/.stamp

.PHONY: setup run test soak clients check bench lock format clean

setup: $(STAMP)

$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "CPython 3.11 or newer is needed, $(PYTHON) is older; name another with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making .venv from requirements/dev.lock (once) ..."
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The main job. BACKEND=http://127.0.0.1:3000 puts the gateway in front of your own service.
run: $(STAMP)
	@exec $(BIN)/gateway demo $(if $(BACKEND),--backend $(BACKEND))

test: $(STAMP) clients
	@$(BIN)/python -m pytest -q $(ARGS)

# The vendors' JavaScript clients that the suite runs, where npm is there; without them their tests are skipped.
CLIENTS := tests/clients/node_modules/.package-lock.json
clients: $(if $(shell command -v npm 2>/dev/null),$(CLIENTS))

$(CLIENTS): tests/clients/package-lock.json
	@echo "Installing tests/clients/package-lock.json (once) ..."
	@npm ci --prefix tests/clients --ignore-scripts --no-audit --no-fund --silent && touch $@ || \
	  echo "npm could not install them: the tests of jsforce are skipped"

# The crash and scale tests in their long form: minutes, not seconds.
soak: $(STAMP)
	@GATEWAY_SOAK=1 $(BIN)/python -m pytest -q -s tests/crash tests/scale tests/end_to_end/test_fleet.py $(ARGS)

check: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

bench: $(STAMP)
	@$(BIN)/python -m bench

format: $(STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# For maintainers: resolve the dependencies again (needs uv).
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements/runtime.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header requirements/build.in -o requirements/build.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra demo --extra dev pyproject.toml requirements/build.in -o requirements/dev.lock

clean:
	rm -rf .venv tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
