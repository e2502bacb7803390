# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo report test lint format plan bench clean

demo: $(READY)
	$(BIN)/python -m langneurons.warm $(BIN)/snakemake --profile profiles/demo
	@echo
	@echo "Tables:  results/demo/tables/   (start with xnli.md)"
	@echo "Figures: results/demo/figures/  (.svg, .pdf, and .html to open in a browser)"
	@echo "Report:  results/demo/report/index.html  (all of it, with the question and the answer first)"

# Snakemake's own report of the finished demo: the same, with the rules and their run times.
report: demo
	$(BIN)/snakemake --profile profiles/demo --report results/demo/report.html
	@echo "Report:  results/demo/report.html"

test: $(READY) lint
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow
	$(BIN)/python -m langneurons.config_document

# What a run of the paper's configuration would do; touches nothing.
plan: $(READY)
	$(BIN)/snakemake --dry-run --quiet rules

# What is fast, side by side: ratios, since absolute times depend on the machine.
bench: $(READY)
	$(BIN)/python benchmarks/activations.py
	$(BIN)/python benchmarks/storage.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/finetuning.py
	$(BIN)/python benchmarks/loading.py

# The environment is made again when a pin changes.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf results/demo resources/demo
