"""What is added to a finished run brings its own jobs, and no job of what was there."""

import json
import re

import pytest
from snakemake_calls import SMALLEST, job_counts, parse

REPORT = "The report"
PERCENTILE = {"statistics": {"percentiles": [5, 10, 25, 50, 75, 90, 95, 99]}}
ADDITIONS = {
    "a percentile that nothing names": (PERCENTILE, []),
    "a percentile and an intervention by it": (
        PERCENTILE | {"tables": {"xquad": {"interventions": ["none", "p90", "p99"]}}},
        [
            "Statistic p99 of tiny-llama on vi",
            "Statistic p99 of tiny-mistral on vi",
            "xquad in vi: tiny-llama, base, p99@lape-set1",
            "xquad in vi: tiny-mistral, base, p99@lape-set1",
            "Table xquad",
            REPORT,
        ],
    ),
}


def planned_jobs(directory, overlay) -> list[str]:
    """The message of every job that a dry run would start, sorted."""
    done = parse(directory, "--dry-run", configs=(*SMALLEST, overlay))
    assert done.returncode == 0, done.stdout
    found = re.findall(r"^ *Job \d+: (.*)$", done.stdout, flags=re.M)
    assert len(found) == sum(job_counts(done.stdout).values())
    return sorted(found)


@pytest.mark.parametrize(("edit", "expected"), ADDITIONS.values(), ids=ADDITIONS)
def test_an_addition_runs_its_own_jobs_alone(finished, tmp_path, edit, expected):
    overlay = tmp_path / "edit.yaml"
    overlay.write_text(json.dumps(edit), encoding="utf-8")  # JSON is YAML too
    assert planned_jobs(finished, overlay) == sorted(expected)
