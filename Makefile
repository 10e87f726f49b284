# `make` prints the targets. Choose versions with PYTHON=python3.10 and MINDSPORE=2.10.0.
PYTHON ?= python3
MINDSPORE ?= 2.8.0
RANKS ?= 1
VENV ?= .venv$(if $(filter-out python3 2.8.0,$(PYTHON) $(MINDSPORE)),-$(subst /,_,$(patsubst /%,%,$(PYTHON)))-$(MINDSPORE))
BIN = $(VENV)/bin
STAMP = $(VENV)/.ready
SOURCES = src cloud compat tests scripts $(wildcard benchmarks) train.py eval.py export.py predict.py postprocess.py

.DEFAULT_GOAL := help
.PHONY: help setup minio demo demo-cloud test test-all chaos bench bench-sync docs audit translations lint format matrix clean

help: ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: $(STAMP) ## create the virtual environment with the pinned requirements

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml scripts/setup.sh
	@bash scripts/setup.sh "$(PYTHON)" "$(MINDSPORE)" "$(VENV)"
	@touch $@

demo: $(STAMP) ## train on the embedded digits until it works (RANKS=2: two processes)
ifeq ($(RANKS),1)
	@$(BIN)/python train.py --resume none
else
	@PYTHON=$(BIN)/python bash scripts/local_ranks.sh $(RANKS) train.py --resume none
endif

demo-cloud: $(STAMP) ## rehearse a cloud job at home, with an accident: plan, submit, follow, fetch, evaluate
	@PYTHON=$(BIN)/python bash scripts/demo_cloud.sh

minio: ## install the MinIO server that the storage tests use (needs go; 6 minutes, once)
	@bash scripts/minio.sh

test: $(STAMP) ## the fast test suite, two files at a time
	@$(BIN)/python -m pytest tests -m "not heavy" -q -n 2 --max-worker-restart=0 --dist loadfile --no-loadscope-reorder --durations=5

test-all: test ## every test; the heavy ones one after another, because some need 20 GB of memory
	@$(BIN)/python -m pytest tests -m heavy -q --durations=20 --ignore=tests/chaos
	@$(BIN)/python -m tests.chaos

chaos: $(STAMP) ## kill, stop, fill and damage runs at 70 random points: each ends as one without an accident (20 minutes)
	@$(BIN)/python -m tests.chaos

bench bench-sync: export MINDLIFT_LANG = en

bench: $(STAMP) ## images per second next to timm and mindcv (installs PyTorch: 7 GB)
	@$(BIN)/python -c "import timm, mindcv" 2>/dev/null || $(BIN)/python -m pip install -q '.[bench]'
	@$(BIN)/python benchmarks/bench_train.py --output benchmarks/results/train.json

bench-sync: $(STAMP) ## S3 copies next to s5cmd, rclone and aws-cli, as far as they are on PATH
	@[ -n "$$MINIO_BINARY" ] || bash scripts/minio.sh > /dev/null
	@$(BIN)/python benchmarks/bench_sync.py --output benchmarks/results/sync.json

translations: $(STAMP) ## bring the Chinese texts up to date with the source, compile them, list what is missing
	@$(BIN)/python -m tests.support.translations
	@$(BIN)/python -m tests.support.translations --missing

matrix: $(STAMP) ## the same checks with MindSpore 2.0.0 to 2.10.0 on Python 3.7 to 3.11 (30 minutes, 15 GB)
	@$(BIN)/python -m tests.matrix --write

docs: .venv-docs/.ready ## build the documents as a site in site/, with every link checked (mkdocs-material)
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict  # with --quiet warnings would not count
	@echo site/index.html

.venv-docs/.ready: requirements-docs.txt
	@$(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/pip install -q -r requirements-docs.txt
	@touch $@

audit: $(STAMP) ## known vulnerabilities of the pinned packages (pip-audit, which asks pypi.org)
	@[ -x .venv-audit/bin/pip-audit ] || { $(BIN)/python -m venv .venv-audit && .venv-audit/bin/pip install -q pip-audit; }
	@.venv-audit/bin/pip-audit --strict -r requirements.txt -r requirements-dev.txt -r requirements-docs.txt

lint: $(STAMP) ## style, format and types
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy src/mindlift

format: $(STAMP) ## rewrite the sources in the project's format
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

clean: ## remove the virtual environments and caches
	rm -rf .venv .venv-* site .pytest_cache .ruff_cache .mypy_cache
