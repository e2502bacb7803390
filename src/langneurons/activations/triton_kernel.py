"""The kernel of a GPU in Triton: one pass over z, its histogram by atomic additions, fused with sums and extremes.

Import it only where Triton is. ``TRITON_INTERPRET=1``, set before the import, runs it on a CPU's tensors.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from langneurons.activations.exact_sums import LIMB_BITS, ROUNDER, ROUNDER_BITS, SUM_TOKENS
from langneurons.activations.sketch import BINS, KEY_OFFSET, LINEAR, QUANTA, SHIFT, STEPS_PER_UNIT, ZERO_BIN

# A program takes _STEPS tiles of _TOKENS x _NEURONS, one below the other.
_TOKENS, _NEURONS, _STEPS, _WARPS = 16, 64, 32, 4
if _TOKENS * _STEPS > SUM_TOKENS:
    raise AssertionError("a program's sums could exceed an int64")

_CONSTANTS = {
    "BINS": BINS,
    "KEY_OFFSET": KEY_OFFSET,
    "LINEAR": LINEAR,
    "SHIFT": SHIFT,
    "STEPS_PER_UNIT": STEPS_PER_UNIT,
    "ZERO_BIN": ZERO_BIN,
    "UPPER": QUANTA[0],
    "MIDDLE": QUANTA[1],
    "LOWER": QUANTA[2],
    "ROUNDER": ROUNDER,
    "ROUNDER_BITS": ROUNDER_BITS,
    "LIMB_BITS": LIMB_BITS,
    "TOKENS": _TOKENS,
    "NEURONS": _NEURONS,
    "STEPS": _STEPS,
}


def count(
    z: torch.Tensor, histogram: torch.Tensor, moments: torch.Tensor, minimum: torch.Tensor, maximum: torch.Tensor
) -> None:
    """Count ``z``, ``[tokens, D]``: a ``Kernel`` (see ``kernels``)."""
    if z.dtype == torch.float64:
        z = z.float()
    if z.stride(1) != 1:
        z = z.contiguous()
    tokens, neurons = z.shape
    grid = (triton.cdiv(neurons, _NEURONS), triton.cdiv(tokens, _TOKENS * _STEPS))
    arguments = (z, histogram, moments, minimum, maximum, tokens, neurons, z.stride(0), *moments.stride()[:2])
    if moments.stride(2) != 1:
        raise ValueError(f"moments have strides {moments.stride()}; the neurons' must be 1")
    if z.device.type != "cuda":  # Triton's interpreter
        _count[grid](*arguments, **_CONSTANTS)
        return
    with torch.cuda.device(z.device):
        _count[grid](*arguments, **_CONSTANTS, num_warps=_WARPS)


@triton.jit
def _limbs(terms, UPPER: tl.constexpr, ROUNDER: tl.constexpr, ROUNDER_BITS: tl.constexpr):
    """Float64 terms as multiples of UPPER (float64) and what is left in units of the least quantum (int64)."""
    magnitude = tl.abs(terms)
    # Adding 2^52 quanta and taking them off rounds half to even; from there on the float64 are multiples themselves.
    border = UPPER * 4503599627370496.0
    upper = tl.where(magnitude < border, (magnitude + border) - border, magnitude)
    upper = tl.where(terms < 0, -upper, upper)
    units = ((terms - upper) + ROUNDER).to(tl.int64, bitcast=True) - ROUNDER_BITS
    return upper, units


@triton.jit
def _add_limbs(
    limbs,
    stride,
    neuron,
    inside,
    upper,
    units,
    MIDDLE: tl.constexpr,
    LOWER: tl.constexpr,
    LIMB_BITS: tl.constexpr,
):
    middle = (units + (1 << (LIMB_BITS - 1))) >> LIMB_BITS
    lower = units - (middle << LIMB_BITS)
    tl.atomic_add(limbs + neuron, upper, mask=inside & (upper != 0), sem="relaxed")
    tl.atomic_add(limbs + stride + neuron, middle.to(tl.float64) * MIDDLE, mask=inside, sem="relaxed")
    tl.atomic_add(limbs + 2 * stride + neuron, lower.to(tl.float64) * LOWER, mask=inside, sem="relaxed")


@triton.jit
def _count(
    z_pointer,
    histogram,
    moments,
    minimum,
    maximum,
    tokens,
    neurons,
    row,
    moment_stride,
    limb_stride,
    BINS: tl.constexpr,
    KEY_OFFSET: tl.constexpr,
    LINEAR: tl.constexpr,
    SHIFT: tl.constexpr,
    STEPS_PER_UNIT: tl.constexpr,
    ZERO_BIN: tl.constexpr,
    UPPER: tl.constexpr,
    MIDDLE: tl.constexpr,
    LOWER: tl.constexpr,
    ROUNDER: tl.constexpr,
    ROUNDER_BITS: tl.constexpr,
    LIMB_BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    NEURONS: tl.constexpr,
    STEPS: tl.constexpr,
):
    neuron = tl.program_id(0) * NEURONS + tl.arange(0, NEURONS)
    inside = neuron < neurons
    first = tl.program_id(1).to(tl.int64) * (TOKENS * STEPS)
    # Kept apart for every place in a tile: what crosses threads is only the end.
    low = tl.full([TOKENS, NEURONS], float("inf"), tl.float32)
    high = tl.full([TOKENS, NEURONS], float("-inf"), tl.float32)
    upper_sum = tl.zeros([TOKENS, NEURONS], tl.float64)
    units_sum = tl.zeros([TOKENS, NEURONS], tl.int64)
    upper_square = tl.zeros([TOKENS, NEURONS], tl.float64)
    units_square = tl.zeros([TOKENS, NEURONS], tl.int64)
    for step in range(STEPS):
        token = first + step * TOKENS + tl.arange(0, TOKENS)
        mask = (token < tokens)[:, None] & inside[None, :]
        z = tl.load(z_pointer + token[:, None] * row + neuron[None, :], mask=mask, other=0.0).to(tl.float32)

        bits = z.to(tl.int32, bitcast=True)
        magnitude = bits & 0x7FFFFFFF
        # As in kernels: the lower of two scales. A NaN compares as false and gets the last bin.
        linear = tl.abs(z) * STEPS_PER_UNIT
        linear = tl.where(linear < BINS, linear, BINS).to(tl.int32) + 1
        key = tl.minimum(tl.maximum((magnitude >> SHIFT) - KEY_OFFSET, LINEAR + 1), ZERO_BIN)
        key = tl.minimum(key, linear)
        key = tl.where(magnitude == 0, 0, key)
        bins = ZERO_BIN + tl.where(bits < 0, -key, key)
        tl.atomic_add(histogram + neuron[None, :] * BINS + bins, 1, mask=mask, sem="relaxed")

        # A NaN could get lost in a minimum or a maximum: infinity does not.
        broken = z != z
        low = tl.minimum(low, tl.where(mask, tl.where(broken, float("-inf"), z), float("inf")))
        high = tl.maximum(high, tl.where(mask, tl.where(broken, float("inf"), z), float("-inf")))

        # What the mask left out is 0 and adds nothing.
        wide = z.to(tl.float64)
        upper, units = _limbs(wide, UPPER, ROUNDER, ROUNDER_BITS)
        upper_sum += upper
        units_sum += units
        upper, units = _limbs(wide * wide, UPPER, ROUNDER, ROUNDER_BITS)
        upper_square += upper
        units_square += units
    # + 0: no -0.
    tl.atomic_min(minimum + neuron, tl.min(low, axis=0) + 0.0, mask=inside, sem="relaxed")
    tl.atomic_max(maximum + neuron, tl.max(high, axis=0) + 0.0, mask=inside, sem="relaxed")
    upper, units = tl.sum(upper_sum, axis=0), tl.sum(units_sum, axis=0)
    _add_limbs(moments, limb_stride, neuron, inside, upper, units, MIDDLE, LOWER, LIMB_BITS)
    squares = moments + moment_stride
    upper, units = tl.sum(upper_square, axis=0), tl.sum(units_square, axis=0)
    _add_limbs(squares, limb_stride, neuron, inside, upper, units, MIDDLE, LOWER, LIMB_BITS)
