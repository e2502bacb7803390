"""Calling Snakemake as a person does, in a directory of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALLEST = ("config/demo.yaml", "tests/end_to_end/smallest.yaml")


def snakemake(directory: Path, *arguments: str, configs: tuple[str, ...] = SMALLEST, warm: bool = True):
    """Run ``snakemake`` on this workflow in ``directory``; the finished process, its output as text."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(directory), "--cores", "2", "--nocolor"]
    if configs:
        command += ["--configfile", *(c if os.path.isabs(c) else str(ROOT / c) for c in configs)]
    command += ["--show-failed-logs", "--nolock"] if "--unlock" not in arguments else []
    command += list(arguments)
    if warm:
        command = [sys.executable, "-m", "langneurons.warm", *command]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH",)}
    environment["PYTHONPATH"] = str(ROOT / "src")
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


def planned(directory: Path, *arguments: str, configs: tuple[str, ...] = SMALLEST) -> dict[str, int]:
    """Rule -> number of jobs that a dry run would start (without the target rule itself)."""
    done = snakemake(directory, "--dry-run", "--quiet", "rules", *arguments, configs=configs, warm=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rules: dict[str, int] = {}
    counting = False
    for line in (done.stdout + done.stderr).splitlines():
        words = line.split()
        if words[:2] == ["job", "count"]:
            counting = True
        elif counting and len(words) == 2 and words[1].isdigit():
            rules[words[0]] = int(words[1])
        elif words[:1] == ["total"]:
            counting = False
    return {rule: count for rule, count in rules.items() if rule not in ("all", "total")}
