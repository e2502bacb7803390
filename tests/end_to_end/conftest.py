"""One finished run of the whole workflow at its smallest size, shared by the tests of this directory."""

from pathlib import Path

import pytest
from snakemake_calls import snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The directory of a finished run: ``results/`` and ``resources/``. Read it, copy it; never change it.

    The run had no network: the demo needs none. Beside what is asked for by default there are random neurons in hi, and
    with them LAPE's of three languages, whose numbers they copy.
    """
    directory = tmp_path_factory.mktemp("smallest")
    done = snakemake(directory, "all", "results/tiny-llama/neurons/random/hi.parquet", warm=True, network=False)
    assert done.returncode == 0, done.stdout[-10_000:]
    return directory
