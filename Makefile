# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OVERLAYS := $(if $(CONFIG),--configfile $(CONFIG))

.PHONY: demo report test lint format plan dag unlock bench clean

demo: $(READY)
	$(BIN)/langneurons warm $(BIN)/snakemake --profile profiles/demo
	@echo
	@echo "Tables:  results/demo/tables/   (start with xnli.md)"
	@echo "Figures: results/demo/figures/  (.svg, .pdf, and .html to open in a browser)"
	@echo "Report:  results/demo/report/index.html  (all of it, with the question and the answer first)"

# Snakemake's own report of the finished demo: the same, with the rules and their run times.
report: demo
	$(BIN)/snakemake --profile profiles/demo --report results/demo/report.html
	@echo "Report:  results/demo/report.html"

# Two tests at a time; a larger machine bears more: make test WORKERS=4.
WORKERS ?= 2
test: $(READY) lint
	$(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow
	$(BIN)/langneurons docs

# What a run would do, by stage: jobs, Slurm jobs, GPU hours, disk; touches nothing. The paper's configuration, or
# any other: make plan CONFIG="config/demo.yaml"
plan: $(READY)
	$(BIN)/langneurons plan $(OVERLAYS)

# The rules of a configuration and what flows between them, as a picture: results/dag.svg. CONFIG as above.
dag: $(READY)
	mkdir -p results
	$(BIN)/snakemake --rulegraph $(OVERLAYS) > results/dag.dot
	$(BIN)/langneurons rulegraph < results/dag.dot > results/dag.svg
	@rm results/dag.dot; echo "results/dag.svg"

# After Snakemake was killed: names jobs of this directory that still run on this machine and refuses, or ends them
# (make unlock END=1); cancels the Slurm jobs that it left here; then removes its lock.
unlock: $(READY)
	$(BIN)/langneurons unlock $(if $(END),--end)

# What is fast, side by side: ratios with their intervals, since absolute times depend on the machine.
# make bench QUICK=1: the demo's shapes alone.
bench: $(READY)
	mkdir -p results
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick) --json results/benchmarks.json

# The environment is made again when a pin changes.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf results/demo resources/demo
