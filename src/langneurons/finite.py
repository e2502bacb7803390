"""One check for every number that becomes a result: a value that is not finite is an error that says where it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ADVICE = "check the model's snapshot and its adapter, or load the model in another dtype"


def check_finite(
    values: Any,
    what: str,
    axes: Sequence[str] = (),
    names: Sequence[object] | np.ndarray | None = None,
    advice: str = ADVICE,
) -> None:
    """ValueError, naming the first place, if any of ``values`` (a number, or an array) is NaN or infinite.

    ``what`` says what they are and of which file; ``axes`` names all of the array's axes (as ``("layer", "neuron")``);
    ``names`` are what the places of the first axis are called in the message, instead of their numbers.
    """
    import numpy as np

    found = np.asarray(values, dtype=np.float64)
    wrong = ~np.isfinite(found)
    if not wrong.any():
        return
    place = np.unravel_index(int(wrong.argmax()), wrong.shape)
    if axes:
        shown = [*(names[int(i)] if names is not None and not axis else i for axis, i in enumerate(place))]
        where = ", ".join(f"{label} {i}".strip() for label, i in zip(axes, shown, strict=True))
    else:
        where = f"[{', '.join(map(str, place))}]" if place else ""
    value = float(found[place])
    said = "NaN" if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    count = f" ({int(wrong.sum())} of {found.size} values are not finite)" if found.ndim else ""
    raise ValueError(f"{what} is {said}{f' at {where}' if where else ''}{count}; {advice}")
