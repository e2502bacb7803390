"""Whether a snapshot's config.json has positions for what the configuration feeds, and ways of attention that run.

transformers only warns about much of this, or computes something else in silence. Nothing is loaded here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langneurons.sections.configuration import Config

# The keys of the number of positions, by model_type; bloom and a falcon with alibi have no such limit.
POSITIONS = {"bloom": (), "mpt": ("max_seq_len",), "gptj": ("n_positions", "max_position_embeddings")}
# Types of rotary position embeddings (transformers.modeling_rope_utils) -> whether they need a factor.
ROPE_TYPES = {
    "default": False,
    "linear": True,
    "dynamic": True,
    "yarn": True,
    "longrope": False,
    "llama3": True,
    "proportional": False,
}
ATTENTION = ("attn_implementation", "_attn_implementation")
SWITCHED = ("qwen2", "qwen3", "smollm3")  # sliding_window counts only with use_sliding_window


def lengths_of(settings: Config, tasks: Collection[str]) -> dict[str, list[int]]:
    """Key of the configuration -> the longest row that it allows, and the tokens that are generated after it."""
    lengths = {"corpus.block": [settings.corpus.block, 0]}
    for task in sorted(tasks):
        section = settings.tasks[task]
        if longest := getattr(section, "max_tokens", None):
            lengths[f"tasks.{task}.max_tokens"] = [longest, getattr(section, "max_new_tokens", 0)]
    return lengths


def check_positions(
    folder: Path, config: Mapping[str, Any], text: Mapping[str, Any], lengths: Mapping[str, list[int]]
) -> None:
    """ValueError, naming the key to lower, for a row longer than the model's positions.

    ``lengths`` as of ``lengths_of``. Rotary embeddings of type longrope (and dynamic, beyond all positions) change
    their frequencies for a whole batch once its longest row passes a length: a row's prediction would depend on the
    rows beside it. They are refused where a row can be that long.
    """
    for limit, has in _limits(folder, config, text):
        for key, (length, more) in lengths.items():
            if length + more <= limit:
                continue
            least = limit - more
            says = f"{key} is {length}" + (f", and {more} tokens are generated after it" if more else "")
            advice = f"write at most {least}" if least > 0 else f"lower {key} and max_new_tokens below {limit} in all"
            raise ValueError(f"{says}; the model in {folder} {has}: {advice}, or use another model")


def check_rope(folder: Path, text: Mapping[str, Any]) -> None:
    """ValueError for rotary position embeddings that are not what ``rope_scaling`` or ``rope_parameters`` seems to say.

    Both keys hold null, one dictionary, or one for each type of layer.
    """
    if text.get("rope_theta") is not None and not _number(text["rope_theta"], above=0):
        raise ValueError(f"{folder / 'config.json'}: rope_theta is {text['rope_theta']!r}; write a number above 0")
    for key, rope in _ropes(folder, text):
        where = f"{folder / 'config.json'}: {key}"
        kind, factor = _rope_type(text, rope), rope.get("factor")
        if not isinstance(kind, str) or kind not in ROPE_TYPES:
            raise ValueError(f"{where} has rope_type {kind!r}, which is unknown; write one of {', '.join(ROPE_TYPES)}")
        spelled = rope.get("rope_type", rope.get("type"))
        if spelled == "su" and rope.get("original_max_position_embeddings") is None:  # transformers 5 does not load it
            raise ValueError(f"{where} has rope_type 'su', the old name of longrope; write longrope")
        if "rope_theta" in rope and not _number(rope["rope_theta"], above=0):
            raise ValueError(f"{where}: rope_theta is {rope['rope_theta']!r}; write a number above 0")
        if kind == "default" and factor not in (None, 1):
            raise ValueError(
                f"{where} has factor {factor!r} and no rope_type that uses it; write the rope_type that belongs to the "
                "weights (linear, dynamic, yarn, llama3), or take factor out"
            )
        if (ROPE_TYPES[kind] or factor is not None) and kind != "default" and not _number(factor, least=1):
            raise ValueError(f"{where}: factor is {factor!r}; rope_type {kind} needs a number of at least 1")
        if kind == "longrope":
            _check_lists(where, rope)
        if kind == "llama3":
            low, high = rope.get("low_freq_factor"), rope.get("high_freq_factor")
            if not _number(low, above=0) or not _number(high, above=low):
                raise ValueError(
                    f"{where}: low_freq_factor is {low!r} and high_freq_factor {high!r}; rope_type llama3 needs two "
                    "numbers above 0, the second the larger"
                )


def check_attention(folder: Path, config: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    """ValueError for a way of attention, or of returning outputs, that jobs do not run with; names the key."""
    file = folder / "config.json"
    parts = {"": config} | {f"{key}.": part for key, part in config.items() if isinstance(part, Mapping)}
    for prefix, part in parts.items():
        for key in ATTENTION:
            if part.get(key) not in (None, "eager", "sdpa"):
                raise ValueError(
                    f"{file}: {prefix}{key} is {part[key]!r}; take the key out, or write sdpa or eager, the two that "
                    "need no further library"
                )
        if part.get("return_dict", True) is not True:
            raise ValueError(
                f"{file}: {prefix}return_dict is {part['return_dict']!r}, and jobs read outputs by name; take the key "
                "out"
            )
    window = text.get("sliding_window")
    unused = text.get("model_type") in SWITCHED and not text.get("use_sliding_window")
    if window is not None and not unused and (not _number(window, least=1) or not isinstance(window, int)):
        raise ValueError(
            f"{file}: sliding_window is {window!r}; write null for attention to all tokens, or the number of tokens "
            "that belongs to the weights"
        )


def _limits(folder: Path, config: Mapping[str, Any], text: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """(longest row, what the model has), the narrowest first of those that config.json says."""
    keys = POSITIONS.get(config["model_type"], ("max_position_embeddings",))
    if config["model_type"] == "falcon" and text.get("alibi"):
        keys = ()
    key = next((key for key in keys if text.get(key) is not None), None)
    positions = None if key is None else text[key]
    if positions is not None and (not _number(positions, least=1) or not isinstance(positions, int)):
        raise ValueError(f"{folder / 'config.json'}: {key} is {positions!r}; write the number of positions")
    for name, rope in _ropes(folder, text):
        kind = _rope_type(text, rope)
        if kind == "dynamic" and positions is None:
            raise ValueError(
                f"{folder / 'config.json'}: {name} has rope_type dynamic and there is no max_position_embeddings, "
                "beyond which it changes the model; write it"
            )
        if kind in ("dynamic", "longrope"):
            key_of, limit = (key, positions) if kind == "dynamic" else _original(text, rope, key, positions)
            if limit is not None:
                if not _number(limit, least=1) or not isinstance(limit, int):
                    raise ValueError(f"{folder / 'config.json'}: {key_of} is {limit!r}; write the number of positions")
                yield (
                    limit,
                    f"changes its rotary embeddings for a whole batch with a row beyond {limit} positions (rope_type "
                    f"{kind}, {key_of} in its config.json), so that predictions would depend on batches",
                )
    if positions is not None:
        yield positions, f"has {positions} positions ({key} in its config.json)"


def _original(
    text: Mapping[str, Any], rope: Mapping[str, Any], key: str | None, positions: int | None
) -> tuple[str | None, Any]:
    """(key, length) beyond which longrope takes its long factors: the value at the top goes before the one inside."""
    name = "original_max_position_embeddings"
    if text.get(name) is not None:
        return name, text[name]
    if text.get("model_type") == "phi3":  # its configuration has this value where the file has none at the top
        return name, 4096
    if rope.get(name) is not None:
        return name, rope[name]
    return key, positions


def _ropes(folder: Path, text: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(key, parameters) of one dictionary, or of each type of layer."""
    for key in ("rope_scaling", "rope_parameters"):
        rope = text.get(key)
        if rope is None:
            continue
        if not isinstance(rope, Mapping):
            raise ValueError(f"{folder / 'config.json'}: {key} is {rope!r}; write a dictionary, or null")
        nested = {f"{key}.{layer}": each for layer, each in rope.items() if isinstance(each, Mapping)}
        yield from (nested or ({key: rope} if rope else {})).items()


def _rope_type(text: Mapping[str, Any], rope: Mapping[str, Any]) -> Any:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind in ("su", "yarn") and text.get("model_type") == "phi3":  # its old names
        return "longrope"
    return kind


def _check_lists(where: str, rope: Mapping[str, Any]) -> None:
    for key in ("short_factor", "long_factor"):
        values = rope.get(key)
        if not isinstance(values, list) or not values or not all(_number(each, above=0) for each in values):
            raise ValueError(f"{where}: {key} is no list of numbers above 0; rope_type longrope needs one")
    if len(rope["short_factor"]) != len(rope["long_factor"]):
        raise ValueError(
            f"{where}: short_factor and long_factor differ in length ({len(rope['short_factor'])} and "
            f"{len(rope['long_factor'])}); take both from the config.json that belongs to the weights"
        )


def _number(value: Any, least: float = -math.inf, above: Any = -math.inf) -> bool:
    """Whether it is a finite number (no truth value) of at least ``least`` and greater than ``above``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= least and value > above
