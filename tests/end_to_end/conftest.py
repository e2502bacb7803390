"""One finished run of the whole workflow at its smallest size, shared by the tests of this directory."""

from pathlib import Path

import pytest
from snakemake_calls import snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The directory of a finished run: ``results/`` and ``resources/``. Read it, copy it; never change it.

    The run had no network: the demo needs none.
    """
    directory = tmp_path_factory.mktemp("smallest")
    done = snakemake(directory, warm=True, network=False)
    assert done.returncode == 0, done.stdout[-10_000:]
    return directory
