"""Progress of long loops: a bar in a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


class Progress:
    """Counts units of work: ``with Progress(total, "tokens", "collect") as done: done(512)``.

    In a terminal a tqdm bar with units per second; elsewhere a line at every tenth of ``total``, to standard
    error, which a job writes to its log.
    """

    def __init__(self, total: int, unit: str, label: str) -> None:
        self.total, self.unit, self.label = total, unit, label
        self.count = 0
        self._tenth = 0
        self._bar: tqdm | None = None

    def __enter__(self) -> Progress:
        self._start = time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self.total, unit=f" {self.unit}", desc=self.label, disable=False, dynamic_ncols=True)
        return self

    def __call__(self, units: int = 1) -> None:
        self.count += units
        if self._bar is not None:
            self._bar.update(units)
            return
        tenth = 10 * self.count // max(1, self.total)
        if tenth > self._tenth:
            self._tenth = tenth
            rate = self.count / max(1e-9, time.monotonic() - self._start)
            print(
                f"{self.label}: {self.count:,} of {self.total:,} {self.unit}, {rate:,.0f} {self.unit}/s",
                file=sys.stderr,
                flush=True,
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
