"""What a process needs set before it imports heavy libraries, and how it keeps its memory."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def prepare_environment(network: bool) -> None:
    """Settings that libraries read when they are imported."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "TQDM_DISABLE"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    # Nothing here compiles; bitsandbytes would import the whole compiler, a second of every start.
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    if not network:
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["HF_DATASETS_OFFLINE"] = "1"
        os.environ.pop("HF_ENDPOINT", None)  # nothing is asked there, and an address that is none fails their import


def keep_freed_memory() -> None:
    """Have glibc reuse a step's tensors for the next step: giving them back and asking again zeroes every page anew.

    A tenth of a small model's training time. Other C libraries have no such setting and stay as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for setting, size in ((_M_MMAP_THRESHOLD, 2**25), (_M_TRIM_THRESHOLD, 2**29), (_M_TOP_PAD, 2**26)):
        mallopt(setting, size)
