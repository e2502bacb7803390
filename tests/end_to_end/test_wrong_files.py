"""A file of another job, or one with a flipped bit, in a finished run: the job that reads it refuses it by name."""

import os
import re
import shutil
from pathlib import Path

import pytest
from snakemake_calls import snakemake

# Of each case: the file that is replaced, what replaces it (None: one bit of it flips), the output that is made again
# from it, its log, and what the message says.
CASES = {
    "mask": (
        "results/tiny-llama/neurons/lape-set1.parquet",
        "results/tiny-llama/neurons/lape-set6.parquet",
        "results/tiny-llama/metrics/xnli/base/vi/zero@lape-set1.tsv",
        "evaluate/tiny-llama/xnli/base/vi/zero@lape-set1",
        "method is 'lape-set6', 'lape-set1' was expected",
    ),
    "statistics": (
        "results/tiny-mistral/statistics/vi/p90.parquet",
        "results/tiny-mistral/statistics/en/p90.parquet",
        "results/tiny-mistral/metrics/xquad/base/vi/p90@lape-set1.tsv",
        "evaluate/tiny-mistral/xquad/base/vi/p90@lape-set1",
        "language is 'en', 'vi' was expected",
    ),
    "adapter": (
        "results/tiny-llama/adapters/xnli/vi@random",
        "results/tiny-llama/adapters/xnli/en+vi@lape-set1",
        "results/tiny-llama/metrics/xnli/vi@random/vi/none.tsv",
        "evaluate/tiny-llama/xnli/vi@random/vi/none",
        "finetuning is 'en+vi@lape-set1', 'vi@random' was expected",
    ),
    "test set": (
        "resources/tasks/xquad/en.test.parquet",
        "resources/tasks/xquad/vi.test.parquet",
        "results/tiny-llama/metrics/xquad/base/en/none.tsv",
        "evaluate/tiny-llama/xquad/base/en/none",
        "language is 'vi', 'en' was expected",
    ),
    "counts": (
        "results/tiny-llama/activations/en/0001.parquet",
        "results/tiny-llama/activations/hi/0001.parquet",
        "results/tiny-llama/activations/en.parquet",
        "merge_activations/tiny-llama/en",
        "language is 'hi', 'en' was expected",
    ),
    "tokens": (
        "results/tiny-mistral/tokens/hi/0000.parquet",
        "results/tiny-mistral/tokens/hi/0001.parquet",
        "results/tiny-mistral/activations/hi/0000.parquet",
        "collect_activations/tiny-mistral/hi/0000",
        "shard is '0001', '0000' was expected",
    ),
    "predictions": (
        "results/tiny-llama/predictions/xnli/en+vi@lape-set1/vi/none.parquet",
        "results/tiny-llama/predictions/xnli/base/vi/none.parquet",
        "results/tables/xnli_finetuning.tsv",
        "render_table/xnli_finetuning",
        "finetuning is 'base', 'en+vi@lape-set1' was expected",
    ),
    "corpus": (
        "resources/corpus/hi/0000.parquet",
        None,
        "results/tiny-llama/tokens/hi/heldout.parquet",
        "pack_heldout_tokens/tiny-llama/hi",
        "is damaged",
    ),
    "weights": (
        "results/tiny-mistral/adapters/xnli/base/adapter_model.safetensors",
        None,
        "results/tiny-mistral/metrics/xnli/base/en/none.tsv",
        "evaluate/tiny-mistral/xnli/base/en/none",
        "is damaged",
    ),
    "snapshot": (
        "resources/models/tiny-llama/model.safetensors",
        None,
        "results/tiny-llama/activations/hi/0001.parquet",
        "collect_activations/tiny-llama/hi/0001",
        "is damaged",
    ),
}


def replace(path: Path, other: Path | None) -> None:
    """Put ``other`` in the place of ``path``, or flip a bit of it, so that Snakemake sees no change."""
    files = {path: other} if path.is_file() else {file: other / file.name for file in path.iterdir()}
    for old, new in files.items():
        stat = old.stat()
        content = bytearray(old.read_bytes() if new is None else new.read_bytes())
        if new is None:
            content[len(content) // 2] ^= 4
        old.write_bytes(content)
        os.utime(old, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture(scope="module")
def logs(finished, tmp_path_factory) -> dict[str, str]:
    """The log of each case's job, after all files were replaced and the outputs were asked for again.

    In two runs: a job that fails ends all that follow from it, and other jobs load the snapshot that is damaged.
    """
    told = {}
    apart = ["counts", "snapshot"]
    for names in ([name for name in CASES if name not in apart], apart):
        directory = tmp_path_factory.mktemp("wrong") / "run"
        shutil.copytree(finished, directory, symlinks=True)
        for name in names:
            replace(directory / CASES[name][0], CASES[name][1] and directory / CASES[name][1])
        for name in names:
            (directory / CASES[name][2]).unlink()
        targets = [CASES[name][2] for name in names]
        done = snakemake(directory, "--keep-going", "--rerun-triggers=mtime", *targets, warm=True)
        assert done.returncode == 1, done.stdout[-5_000:]
        assert "Traceback" not in done.stdout
        for name in names:
            assert not (directory / CASES[name][2]).exists(), name
            told[name] = (directory / f"results/logs/{CASES[name][3]}.log").read_text(encoding="utf-8")
    return told


@pytest.mark.parametrize("name", CASES)
def test_the_job_names_the_file_and_what_is_wrong(logs, name):
    path, _, _, _, said = CASES[name]
    error = re.search(r"^error: (.*)", logs[name], flags=re.M)
    assert error, logs[name]
    assert path in error[1] and said in error[1] and "run snakemake again" in error[1]
