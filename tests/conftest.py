"""Shared by all tests: one CPU thread, nothing from the network."""

import os
from pathlib import Path

import pytest

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TORCHDYNAMO_DISABLE"] = "1"

ROOT = Path(__file__).parents[1]
TOGETHER = ("tests/end_to_end/", "tests/slurm/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests that share a finished run or a cluster run in one process, one after another; else a file at a time."""
    from xdist.scheduler import LoadScopeScheduling

    class ByDirectoryOrFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((part for part in TOGETHER if file.startswith(part)), file)

    return ByDirectoryOrFile(config, log)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT
