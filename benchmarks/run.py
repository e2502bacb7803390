"""All benchmarks, one after another, and their figures in one table: kept, missed or undecided by their intervals.

    PYTHONPATH=src python benchmarks/run.py [--quick] [--json FILE]

Each part runs in a process of its own, and the next one runs whatever the last one found. A ratio is kept or missed
where the whole of its 95 % interval lies on one side of the target, else undecided. ``--quick``: the demo's shapes and
few rounds. The status is 1 if a figure is missed or a part has failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import machine, said_of

HERE = Path(__file__).parent
WIDE = ["--shape", "8b-width-100", "--shape", "8b-width-1000", "--rounds", "1"]
FULL = [
    ("kernels", []),
    ("activations", []),
    ("evaluation", []),
    ("evaluation", ["--architecture", "llama", "--repeat", "9", *WIDE]),
    ("finetuning", []),
    ("finetuning", WIDE),
    ("loading", []),
    ("storage", []),
]
QUICK = [
    ("kernels", ["--rounds", "5"]),
    ("activations", ["--shape", "demo", "--rounds", "5"]),
    ("evaluation", ["--architecture", "llama", "--rounds", "2", "--repeat", "5"]),
    ("finetuning", ["--rounds", "2"]),
    ("loading", ["--rounds", "3"]),
    ("storage", ["--layers", "2"]),
]


def measure(part: str, options: list[str], folder: Path) -> dict:
    """What a part wrote; without figures where it failed."""
    written = folder / "figures.json"
    written.unlink(missing_ok=True)
    print(f"\n== {part} {' '.join(options)}", flush=True)
    command = [sys.executable, str(HERE / f"{part}.py"), *options, "--json", str(written)]
    status = subprocess.run(command, check=False).returncode
    if written.is_file():
        return {"part": part, "options": options} | json.loads(written.read_text(encoding="utf-8"))
    return {"part": part, "options": options, "figures": [], "failed": status}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the demo's shapes and few rounds")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = [measure(*part, Path(folder)) for part in (QUICK if arguments.quick else FULL)]
    print(f"\n{said_of(machine())}\n")
    verdicts = []
    for part in parts:
        if "failed" in part:
            verdicts.append("FAILED")
            print(f"{part['part']} {' '.join(part['options'])}: FAILED with status {part['failed']}")
        for figure in part["figures"]:
            verdicts.append(figure["verdict"])
            target = "" if figure["target"] is None else f"{figure['bound']} {figure['target']:g}"
            interval = f"[{figure['low']:.3f}, {figure['high']:.3f}]"
            name = f"{part['part']}: {figure['what']}"
            print(f"{name:60s}{figure['value']:9.3f}  {interval:20s}{target:15s}{figure['verdict']}")
    counted = {verdict: verdicts.count(verdict) for verdict in ("kept", "undecided", "MISSED", "FAILED")}
    print("\n" + ", ".join(f"{number} {verdict}" for verdict, number in counted.items()))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(parts, indent=2) + "\n", encoding="utf-8")
    return 1 if counted["MISSED"] or counted["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
