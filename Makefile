SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?=
PY := .venv/bin/python
# Two tests at once on a small machine; on a larger one as many as it has cores: make test JOBS=auto
JOBS ?= 2

.PHONY: help demo test check format bench bench-alerts bench-detection docs docs-generate collector clean \
	check-style check-format check-types check-imports check-unused check-dependencies check-docs

help: ## this list
	@echo "make demo       a small fleet in a fault, and the alert: make demo FAULT=dblock for another fault"
	@echo "                (kill9 partition sigstop dblock skew jitter cascade cpu oom none; ARGS='--seconds 30' passes options on)"
	@echo "make test       all tests; make test TESTS=tests/collector ARGS=-x for some of them"
	@echo "make check      style, types, import directions, unused code and dependencies, documentation"
	@echo "make format     puts the code into the form that make check asks for"
	@echo "make bench      what a wrapped call costs, as ratios: BENCH=NAME for one benchmark"
	@echo "make bench-alerts  what the alert service can do, against its goals: ARGS=--quick for a first look"
	@echo "make bench-detection  how well failures are recognised, on simulated systems: ARGS=--quick for a first look"
	@echo "make docs       the documentation, into docs/_build/html"
	@echo "make collector  builds an OpenTelemetry Collector, once (needs Go), and prints where it is"
	@echo "make clean      removes everything that the others made here"
	@echo
	@echo "Each sets up what it needs in .venv. PYTHON=/path/to/python3.11 chooses the interpreter."

# Re-made only when pyproject.toml changes. The demo and the benchmarks need less than the tests and the checks.
.venv/installed: pyproject.toml scripts/venv.sh
	@PYTHON="$(PYTHON)" scripts/venv.sh
	@touch $@

.venv/installed-dev: pyproject.toml scripts/venv.sh
	@PYTHON="$(PYTHON)" scripts/venv.sh docs,lint,test
	@touch .venv/installed $@

demo: .venv/installed
	@$(PY) -m otel_monitor demo $(FAULT) $(ARGS)

test: .venv/installed-dev
	@scripts/system-packages.sh tests/system-packages.txt
	@$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS) $(TESTS)

check: check-style check-format check-types check-imports check-unused check-dependencies check-docs

check-style: .venv/installed-dev
	$(PY) -m ruff check --output-format concise --quiet

check-format: .venv/installed-dev
	$(PY) -m ruff format --check --output-format concise

check-types: .venv/installed-dev
	$(PY) -m mypy

check-imports: .venv/installed-dev
	.venv/bin/lint-imports --no-logo

check-unused: .venv/installed-dev
	@echo "$(PY) -m vulture"
	@! $(PY) -m vulture | grep -vE '^(tests|benchmarks|docs)/'

check-dependencies: .venv/installed-dev
	$(PY) -m deptry otel_monitor processors

check-docs: .venv/installed-dev
	$(PY) docs/generate.py --check
	$(PY) -m sphinx -W --keep-going -n -q -b html docs docs/_build/html

format: .venv/installed-dev
	$(PY) -m ruff format
	$(PY) -m ruff check --fix

bench: .venv/installed-dev
	@set -e; for file in $(if $(BENCH),benchmarks/$(BENCH).py,$(filter-out benchmarks/alerts.py,$(wildcard benchmarks/*.py))); do \
		echo "$$file"; $(PY) "$$file" $(ARGS); echo; done

bench-alerts: .venv/installed-dev
	@$(PY) benchmarks/alerts.py $(ARGS)

bench-detection: .venv/installed-dev
	@$(PY) -m benchmarks.detection report --output $(or $(OUTPUT),build/accuracy/accuracy.md) $(ARGS)

docs: .venv/installed-dev
	@$(PY) docs/generate.py
	@$(PY) -m sphinx -W --keep-going -n -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

collector:
	@scripts/collector.sh

clean:
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
