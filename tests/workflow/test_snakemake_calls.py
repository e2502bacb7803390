"""The tests' own calls of Snakemake: their exit status is Snakemake's, whatever other threads do meanwhile."""

import multiprocessing
import threading

import pytest
from snakemake_calls import parse


@pytest.fixture
def polled():
    """Another thread asks after every child without a pause, as multiprocessing does whenever it starts one."""
    stop = threading.Event()

    def poll():
        while not stop.is_set():
            multiprocessing.active_children()

    thread = threading.Thread(target=poll)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_a_status_is_not_lost_to_another_thread(polled, tmp_path):
    assert [parse(tmp_path, "--version").returncode for _ in range(10)] == [0] * 10
    assert parse(tmp_path, "--no-such-option").returncode == 2
    assert parse(tmp_path, "--dry-run", configs=("no/such/file.yaml",)).returncode == 1
