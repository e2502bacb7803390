"""The same configuration gives the same bytes: in another directory, and with jobs that start cold."""

from pathlib import Path

import pytest
from snakemake_calls import snakemake

# Of one model, what covers each stage: a table of a fine-tuning with neurons and an intervention by a statistic,
# another mask, a matrix of perplexity, figures.
TARGETS = [
    "results/tables/xnli_finetuning.tsv",
    "results/tiny-llama/statistics/en/p90.parquet",
    "results/tiny-llama/neurons/lape-set6.parquet",
    "results/figures/neuron_layers.tiny-llama.lape-set1.svg",
    "results/figures/perplexity_change.tiny-llama.lape-set1.svg",
]
KINDS = (
    "tables",
    "figures",
    "tokens",
    "activations",
    "statistics",
    "neurons",
    "adapters",
    "curves",
    "metrics",
    "predictions",
)


@pytest.fixture(scope="module")
def again(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("again")
    done = snakemake(directory, *TARGETS, warm=False)
    assert done.returncode == 0, done.stdout[-10_000:]
    return directory


def outputs(directory: Path) -> dict[str, bytes]:
    """Every file below results and resources, but logs and benchmarks, which tell times."""
    files = [path for root in ("results", "resources") for path in (directory / root).rglob("*") if path.is_file()]
    names = {str(path.relative_to(directory)): path for path in files if path.name != ".snakemake_timestamp"}
    return {
        name: path.read_bytes()
        for name, path in names.items()
        if not name.startswith(("results/logs/", "results/benchmarks/"))
    }


def test_a_run_from_scratch_gives_the_same_bytes(finished, again):
    first, second = outputs(finished), outputs(again)
    assert {kind for kind in KINDS if any(f"/{kind}/" in name for name in second)} == set(KINDS)
    assert set(TARGETS) <= set(second) <= set(first)
    assert [name for name, content in second.items() if content != first[name]] == []
