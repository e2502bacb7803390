"""Models of random weights in the shapes of real ones, made on the device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


def sizes(layers: int, hidden: int, neurons: int, heads: int, key_value_heads: int, vocabulary: int) -> dict[str, Any]:
    """Keys of a Llama's configuration."""
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": neurons,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": 2048,
    }


DEMO = sizes(3, 128, 256, 4, 2, 3072)
SMOLLM2 = sizes(30, 576, 1536, 9, 3, 49152)
LLAMA_8B = sizes(32, 4096, 14336, 32, 8, 128256)
LLAMA_8B_CUT = LLAMA_8B | {"num_hidden_layers": 2}
"""The width of Llama 3.1 8B, which decides what a layer costs, in a tenth of its memory."""


@contextlib.contextmanager
def made_in(dtype: torch.dtype, device: str) -> Iterator[None]:
    """Modules made meanwhile have this data type and lie on this device; their weights are drawn from seed 0."""
    before = torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)
