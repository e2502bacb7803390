"""``make plan`` of a finished run lists the jobs that ``snakemake -n`` with the profile does."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pytest
from checkouts import edited_checkout
from snakemake_calls import ROOT, SMALLEST, job_counts, planned

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


JOBS = """
import json, sys
from langneurons.runner import plan
_, jobs, _ = plan.ask_snakemake(json.loads(sys.argv[1]), sys.argv[2], [])
print(json.dumps([job.rule for job in jobs]))
"""


def test_the_plan_agrees_with_a_dry_run_after_an_edit_of_code(finished, tmp_path):
    """In a checkout elsewhere whose LAPE takes another logarithm."""
    environment = edited_checkout(tmp_path, "src/langneurons/methods/lape.py", "np.log(", "np.log2(")
    configs = [str(ROOT / config) for config in SMALLEST]

    def said(*command: str) -> str:
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    jobs = json.loads(said(sys.executable, "-c", JOBS, json.dumps(configs), str(finished)))
    options = ["--directory", str(finished), "--cores", "2", "--nocolor", "--nolock", "--dry-run", "--quiet=rules"]
    profile = ["--profile", str(tmp_path / "profiles/slurm"), "--executor", "local"]
    dry = job_counts(said(sys.executable, "-m", "snakemake", "--configfile", *configs, *options, *profile))
    assert Counter(jobs) == dry and "identify_neurons" in dry and "collect_activations" not in dry
