"""``make plan`` of a finished run lists the jobs that ``snakemake -n`` with the profile does."""

import json
import os
import shutil
from collections import Counter

import pytest
from snakemake_calls import ROOT, SMALLEST, planned

from langneurons.runner import plan

TRIGGERS = ["--rerun-triggers", "mtime", "params", "input", "software-env"]
EDITS = {
    "nothing": {},
    "a script that is newer than its outputs": {},
    "an edit": {"methods": {"lape-set1": {"top_fraction": 0.04}}},
    "an output that is missing": {},
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_plan_agrees_with_a_dry_run(finished, tmp_path, monkeypatch, edit):
    run = tmp_path / "run"
    shutil.copytree(finished, run, symlinks=True)
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(json.dumps(EDITS[edit]), encoding="utf-8")
    script = ROOT / "workflow/scripts/evaluate.py"
    dates = script.stat().st_atime_ns, script.stat().st_mtime_ns
    if edit.startswith("a script"):
        os.utime(script)
    if edit.startswith("an output"):
        (run / "results/tables/xnli.tsv").unlink()
    monkeypatch.chdir(ROOT)
    try:
        configs = (*SMALLEST, overlay)
        _, jobs, _ = plan.ask_snakemake([str(ROOT / config) for config in configs], str(run), [])
        expected = planned(run, *TRIGGERS, configs=configs)
    finally:
        os.utime(script, ns=dates)
    assert Counter(job.rule for job in jobs) == expected
    assert bool(expected) == (edit.startswith("an "))
