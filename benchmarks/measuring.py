"""What the benchmarks share: ratios with their intervals, verdicts, the machine, and how results are written."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

DRAWS, SEED = 4_000, 0
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "numba", "numpy")

Bound = Literal["at most", "at least"]


@dataclass(frozen=True)
class Figure:
    """What was measured: ``value`` with its 95 % interval, and the target if there is one."""

    what: str
    value: float
    low: float
    high: float
    bound: Bound = "at most"
    target: float | None = None

    @property
    def verdict(self) -> str:
        """kept or missed where the whole interval says so, else undecided; nothing without a target."""
        if self.target is None:
            return ""
        inside = [
            end <= self.target if self.bound == "at most" else end >= self.target for end in (self.low, self.high)
        ]
        return "kept" if all(inside) else "undecided" if any(inside) else "MISSED"

    def __str__(self) -> str:
        said = f"  {self.what:40s}{self.value:8.3f}  [{self.low:.3f}, {self.high:.3f}]"
        return said if self.target is None else f"{said}  {self.verdict} ({self.bound} {self.target:g})"


def ratio(
    what: str, ours: Sequence[float], others: Sequence[float], bound: Bound = "at most", target: float | None = None
) -> Figure:
    """The median of the ratios of pairs that were measured one after the other, with its interval.

    The interval is a bootstrap's over the pairs: what disturbs both of a pair leaves their ratio alone.
    """
    pairs = np.asarray(ours, dtype=float) / np.asarray(others, dtype=float)
    drawn = np.random.default_rng(SEED).integers(0, len(pairs), (DRAWS, len(pairs)))
    low, high = np.quantile(np.median(pairs[drawn], axis=1), (0.025, 0.975))
    return Figure(what, float(np.median(pairs)), float(low), float(high), bound, target)


def exact(what: str, value: float, bound: Bound = "at most", target: float | None = None) -> Figure:
    """A figure that no disturbance changes, as a number of bytes."""
    return Figure(what, value, value, value, bound, target)


def processor() -> str:
    """The processor's name, as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def machine(device: str = "cpu") -> dict[str, Any]:
    """What the figures were measured on."""
    found: dict[str, Any] = {"processor": processor(), "threads": torch.get_num_threads()}
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
    return found | {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def said_of(found: dict[str, Any]) -> str:
    """``machine`` in a line."""
    return ", ".join(str(value) if key in ("processor", "gpu") else f"{key} {value}" for key, value in found.items())


def finish(figures: Iterable[Figure], path: str | Path | None, device: str = "cpu", **more: Any) -> int:
    """Print the figures, write them to ``path`` with ``more`` and the machine, and give the exit status."""
    found = list(figures)
    print("\n".join(map(str, found)), flush=True)
    if path:
        content = {"machine": machine(device), "figures": [asdict(f) | {"verdict": f.verdict} for f in found]} | more
        Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 1 if any(figure.verdict == "MISSED" for figure in found) else 0


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress lines of so many runs."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def need_gpu(device: str) -> None:
    """End with a line where a GPU is asked for and there is none."""
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU here: torch sees none; leave out --device cuda")


def highest_resident(call: Callable[[], object]) -> int:
    """Bytes of this process in memory at most during a call, beyond those before it; looked at every 2 ms."""
    before, highest, over = _resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not over.wait(0.002):
            highest = max(highest, _resident())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    call()
    over.set()
    thread.join()
    return max(0, highest - before)


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
