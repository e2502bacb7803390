"""Packing: documents to blocks of token ids, without padding."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from langneurons.artifacts.parquet import read_parquet, write_parquet
from langneurons.corpus.documents import HELDOUT, STATISTICS, split_of
from langneurons.models.tokenization import TextEncoder
from langneurons.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SCHEMA = pa.schema([("split", pa.string()), ("input_ids", pa.list_(pa.int32())), ("bytes", pa.int64())])
KIND = "token blocks"
MOST_UNKNOWN = 0.1
"""Share of the unknown token above which a tokenizer does not know a language: its neurons would be those of a gap."""
UNITS = {"input_ids": "token ids", "bytes": "UTF-8 bytes of the text that a block stands for"}


@dataclass
class _Stream:
    """Tokens waiting to fill a block, each with the bytes of text it stands for."""

    block: int
    budget: int
    ids: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    packed: int = 0
    tokens: int = 0
    unknown: int = 0

    @property
    def full(self) -> bool:
        return self.packed + self.block > self.budget

    def add(self, ids: list[int], sizes: list[int]) -> Iterator[tuple[np.ndarray, int]]:
        self.ids += ids
        self.sizes += sizes
        start = 0
        while len(self.ids) - start >= self.block and not self.full:
            end = start + self.block
            self.packed += self.block
            yield np.array(self.ids[start:end], np.int32), sum(self.sizes[start:end])
            start = end
        del self.ids[:start], self.sizes[:start]


@dataclass(frozen=True)
class Budget:
    """How many tokens are packed: ``tokens`` for statistics, and ``heldout_tokens`` held out; 0 leaves a split out.

    ``heldout_fraction`` is the share of documents that are held out, drawn by ``seed``.
    """

    tokens: int
    heldout_tokens: int
    heldout_fraction: float
    seed: int


def pack(
    documents: Iterable[tuple[str, str]],
    tokenizer: PreTrainedTokenizerBase,
    block: int,
    budget: Budget,
    language: str = "the text",
    model: str = "the model",
    most_unknown: float = MOST_UNKNOWN,
) -> dict[str, list[tuple[np.ndarray, int]]]:
    """Tokenise documents in order, concatenate them and cut them into blocks of ``block`` tokens.

    Each document gets the special tokens that the tokenizer itself adds (as the reference code does); special tokens
    that it spells are text (``models.tokenization``). Stops reading when both splits are full; what does not fill a
    block is left out. Returns the blocks of each split (int32), each with its bytes of UTF-8.

    The share of the unknown token among the tokens of the text that was read for a split is printed where it is above
    0. ``language`` and ``model`` are what messages call the text and the tokenizer.

    ValueError if a split that was asked for has not one block, or if more than the share ``most_unknown`` of its
    tokens are unknown.
    """
    encoder = TextEncoder(tokenizer)
    unknown = -1 if encoder.unknown is None else encoder.unknown  # -1: the id of no token
    wanted = {STATISTICS: budget.tokens, HELDOUT: budget.heldout_tokens}
    streams = {split: _Stream(block, tokens) for split, tokens in wanted.items()}
    blocks: dict[str, list[tuple[np.ndarray, int]]] = {STATISTICS: [], HELDOUT: []}
    with Progress(sum(wanted.values()), "tokens", "pack") as done:
        for _, text in documents:
            if all(stream.full for stream in streams.values()):
                break
            split = split_of(text, budget.heldout_fraction, budget.seed)
            if streams[split].full:
                continue
            ids, offsets = encoder.whole(text)
            streams[split].tokens += len(ids)
            # A token around the text may be the same one (as BOS is in some models).
            streams[split].unknown += ids.count(unknown) - (encoder.before + encoder.after).count(unknown)
            packed = list(streams[split].add(ids, _byte_sizes(text, offsets)))
            blocks[split] += packed
            done(len(packed) * block)
    for split, stream in streams.items():
        if stream.unknown:
            share, name = stream.unknown / stream.tokens, tokenizer.convert_ids_to_tokens(unknown)
            where = f"{language} ({split} split) are the unknown token '{name}' of {model}'s tokenizer"
            _check_unknown(share, where, language, most_unknown)
    for split, tokens in wanted.items():
        if tokens and not blocks[split]:
            raise ValueError(
                f"the text of the {split} split is shorter than one block of {block} tokens; add text, or lower "
                "corpus.block or corpus.shards" + (", or raise corpus.heldout_fraction" if split == HELDOUT else "")
            )
    return blocks


def _check_unknown(share: float, where: str, language: str, most: float) -> None:
    """Print the share of the unknown token; ValueError for one above ``most``."""
    said = f"{100 * share:.3g} % of the tokens of {where}"
    if share > most:
        raise ValueError(
            f"{said} (at most {100 * most:.3g} % may be); take {language} out of corpus.languages, or use a model "
            "whose tokenizer knows it"
        )
    print(said)


def _byte_sizes(text: str, offsets: list[tuple[int, int]]) -> list[int]:
    """Bytes of UTF-8 that each token adds: what lies between its end and the furthest end before it.

    Counted on ends, so the bytes of a character split over tokens, and of white space that no token
    covers, are counted once and a document's sum is its length.
    """
    lengths = np.fromiter((len(c.encode("utf-8", "surrogatepass")) for c in text), np.int64, len(text))
    ends = np.concatenate([[0], np.cumsum(lengths)])
    sizes, reached = [], 0
    for _, end in offsets:
        here = max(reached, int(ends[end]))
        sizes.append(here - reached)
        reached = here
    if sizes:
        sizes[-1] += int(ends[-1]) - reached
    return sizes


def write_blocks(
    path: str | os.PathLike,
    blocks: dict[str, list[tuple[np.ndarray, int]]],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write packed blocks: columns split, input_ids, bytes.

    ``facts``: what the file says of itself: ``language``, ``shard``, ``model_key``, ``tokenizer`` and ``block``.
    """
    rows = [(split, ids, size) for split, packed in blocks.items() for ids, size in packed]
    columns = [[row[i] for row in rows] for i in range(len(SCHEMA))]
    facts = {**(facts or {}), "units": UNITS}
    write_parquet(path, pa.table(dict(zip(SCHEMA.names, columns, strict=True)), SCHEMA), KIND, facts)


def read_blocks(
    path: str | os.PathLike, split: str, expected: Mapping[str, Any] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of one split: token ids [n, block] int32 and bytes [n] int64 (n may be 0).

    ArtifactError, naming the file, if it is missing or damaged, or if its facts are not the ``expected`` ones;
    ValueError for blocks of different lengths.
    """
    table, _ = read_parquet(path, KIND, expected, SCHEMA.names)
    table = table.filter(pc.equal(table["split"], split))
    if not table.num_rows:
        return np.zeros((0, 0), np.int32), np.zeros(0, np.int64)
    ids = table["input_ids"].combine_chunks()
    flat = ids.values.to_numpy()[ids.offsets[0].as_py() : ids.offsets[-1].as_py()]
    if len(flat) % table.num_rows:
        raise ValueError(f"{path}: its blocks differ in length; pack the shard again")
    return flat.reshape(table.num_rows, -1), table["bytes"].to_numpy()
