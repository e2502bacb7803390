"""Constants of exact sums, the same in every kernel: rounding by addition, and limbs."""

from langneurons.activations.sketch import QUANTA

# A number of magnitude up to HALF, plus ROUNDER, is rounded by its addition to a multiple of QUANTA[2]; the bits of the
# sum, as an int64, less those of ROUNDER, are the number in these units: at most 2^51, so SUM_TOKENS of them fit.
HALF = QUANTA[0] / 2
ROUNDER = 1.5 * QUANTA[2] * 2.0**52
ROUNDER_BITS = (1023 + 16) << 52 | 1 << 51
SUM_TOKENS = 2**12 - 1
LIMB_BITS = 26  # QUANTA[1] / QUANTA[2] is 2^LIMB_BITS
