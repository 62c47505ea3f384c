# Everything runs in .venv, which is made on first use from requirements.lock. Options go through: make run ARGS="--directory x"

.DEFAULT_GOAL := help
SHELL := bash
ARGS ?=
bin := .venv/bin
# mypy refuses a directory without Python in it, and these may have none
checked := src tests $(sort $(patsubst %/,%,$(dir $(wildcard scripts/*.py benchmarks/*.py fuzz/*.py))))

.PHONY: help setup run test test-lowest coverage lint format generate bench fuzz campaigns schemathesis josev docs lock clean

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup:
	@scripts/setup.sh

run: setup  ## play the life of a charging station on ./station, then serve it (Ctrl-C ends it); a second run goes on with it
	@$(bin)/evse-security demo --serve $(ARGS)

test: setup  ## run the tests
	@scripts/test-programs.sh
	@$(bin)/pytest -n auto tests $(ARGS)

test-lowest:  ## run the tests on the lowest dependencies that we declare
	@scripts/test-programs.sh
	@scripts/setup.sh .venv-lowest requirements-lowest.lock
	@.venv-lowest/bin/pytest -n auto tests $(ARGS)

coverage: setup  ## run the tests and say which lines and branches they missed
	@$(bin)/pytest -n auto --cov --cov-report=term tests $(ARGS)

lint: setup  ## check style, types and that generated files are up to date
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/mypy $(checked)
	@if [ -e scripts/generate.py ]; then $(bin)/python scripts/generate.py --check; fi

format: setup  ## put the style right
	@$(bin)/ruff check --fix-only --quiet .
	@$(bin)/ruff format .

generate: setup  ## write the generated files anew
	@$(bin)/python scripts/generate.py

bench: setup  ## measure against floors of the same run (ARGS=--quick: under a minute; benchmarks/README.md)
	@$(bin)/python -m benchmarks $(ARGS)

fuzz: setup  ## throw hostile input at all that reads any (ARGS="--seconds 600"; --bounds: what the largest costs)
	@$(bin)/python -m fuzz $(ARGS)

campaigns: setup  ## for an hour or so: kills, power cuts, many hands, files changed behind its back, a fleet (docs/robustness.md)
	@$(bin)/python -m tests.laws.kills --kills 2000
	@$(bin)/python -m tests.laws.powercut --seconds 600
	@$(bin)/python -m tests.laws.hands --commands 1000 --rounds 4
	@$(bin)/python -m tests.laws.freshness --sequences 400
	@$(bin)/python -m tests.adapters.ocpp.fleet --stations 200

schemathesis: setup  ## compare the HTTP API with its OpenAPI document, on hostile input (it gets a .venv of its own)
	@[ -x .venv-schemathesis/bin/schemathesis ] || { $(bin)/python -m venv --clear .venv-schemathesis && \
		.venv-schemathesis/bin/pip --quiet --disable-pip-version-check install schemathesis==4.32.5; }
	@$(bin)/python -m tests.http.schemathesis_run .venv-schemathesis/bin/schemathesis --max-examples 100 $(ARGS)

josev:  ## test with PyPI iso15118: whole Plug & Charge sessions (it gets a .venv of its own; sessions need root and Java)
	@scripts/josev.sh $(ARGS)

docs: setup  ## build the documentation into site/
	@$(bin)/mkdocs build --quiet --strict
	@echo "site/index.html"

lock:  ## pin the dependencies (ARGS=--upgrade: to the newest)
	@scripts/lock.sh $(ARGS)

clean:  ## remove what was built; ./station stays
	rm -rf .venv .venv-lowest .venv-lock .venv-schemathesis .venv-josev site build dist .hypothesis .benchmarks .coverage htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find src tests scripts benchmarks fuzz -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
