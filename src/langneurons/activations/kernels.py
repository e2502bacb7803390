"""The kernel that counts one layer's z: Numba's on a CPU, Triton's on a GPU, torch's where these cannot be had.

Every kernel gives the same integers, and the same sums to the last bit. Each z, and each square (exact in float64), is
rounded to a multiple of the least of QUANTA; multiples of it are integers, and are added as such: in int64 over at most
SUM_TOKENS tokens, then as limbs of float64 that are exact too (see ``sketch``). No order, grouping or thread changes
them, an atomic addition on a GPU neither.
"""

from __future__ import annotations

import importlib.util
import logging
import subprocess
from collections.abc import Callable, Sequence

import torch

from langneurons.activations import torch_kernel
from langneurons.activations.sketch import BINS, QUANTA
from langneurons.activations.torch_kernel import count_on_cpu, count_on_gpu

log = logging.getLogger(__name__)

# (z, histogram, moments, minimum, maximum): counts z, ``[tokens, D]`` in any float type, into the others, in place:
# int32 ``[D * BINS]``, float64 ``[2, 3, D]``, float32 ``[D]`` twice. A NaN or infinite z leaves an extreme that is not
# finite, and arbitrary counts.
Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], None]
# (values, ranks): of ``[tokens, D]`` values in any float type, each neuron's value of each rank (from 0, ascending) and
# that of the next rank (of the last, its own): float32 ``[ranks, D]`` twice.
Selection = Callable[[torch.Tensor, Sequence[int]], tuple[torch.Tensor, torch.Tensor]]


def kernel_for(device: torch.device) -> Kernel:
    """The fastest kernel that works on ``device``; what was chosen, and why, is logged."""
    if device.type == "cpu":
        return _kernel_of_cpu(device)
    if device.type != "cuda":
        return count_on_gpu
    if importlib.util.find_spec("triton") is None:
        log.info("Triton is not installed: counting with torch, which is slower")
        return count_on_gpu
    try:
        from langneurons.activations.triton_kernel import count

        _try(count, device)
    except (ImportError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
        # No C compiler, a driver too old: the kernel is compiled at its first call.
        log.warning("Triton cannot count here (%s): counting with torch, which is slower", error)
        return count_on_gpu
    return count


def selection_beside(kernel: Kernel) -> Selection:
    """What selects by rank where ``kernel`` counts: compiled if that is."""
    if kernel.__module__ == f"{__package__}.numba_kernel":
        from langneurons.activations.numba_select import select

        return select
    return torch_kernel.select


def _kernel_of_cpu(device: torch.device) -> Kernel:
    if importlib.util.find_spec("numba") is None:
        log.info("Numba is not installed: counting with torch, which is slower")
        return count_on_cpu
    try:
        from langneurons.activations.numba_kernel import count

        for dtype in (torch.bfloat16, torch.float32):  # each is compiled by itself
            _try(count, device, dtype)
    except (ImportError, OSError, RuntimeError, NotImplementedError) as error:
        # A processor that it does not know, a library that does not load.
        log.warning("Numba cannot count here (%s): counting with torch, which is slower", error)
        return count_on_cpu
    log.info("counting with Numba")
    return count


def _try(kernel: Kernel, device: torch.device, dtype: torch.dtype = torch.bfloat16) -> None:
    """RuntimeError unless it counts some ones. Their shape is one whose compiled kernel serves a model's as well."""
    z = torch.ones((32, 64), device=device, dtype=dtype)
    histogram, moments, _, _ = buffers = room(z.shape[1], device)
    kernel(z, *buffers)
    found = int(histogram.sum()), float(moments[0].sum()), float(moments[1].sum())
    if found != (z.numel(),) * 3:
        raise RuntimeError(
            f"it counted {z.numel()} ones as {found[0]} values, sum {found[1]}, sum of squares {found[2]}"
        )


def room(neurons: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Histogram, moments, minimum and maximum of one layer before anything is counted."""
    return (
        torch.zeros(neurons * BINS, dtype=torch.int32, device=device),
        torch.zeros((2, len(QUANTA), neurons), dtype=torch.float64, device=device),
        torch.full((neurons,), torch.inf, device=device),
        torch.full((neurons,), -torch.inf, device=device),
    )
