"""Packing: blocks against an independent tokenisation, held-out documents, budgets and bytes."""

import itertools
import json
import re

import numpy as np
import pytest
from tokenizers import Tokenizer

from langneurons.corpus.documents import HELDOUT, STATISTICS, split_of
from langneurons.corpus.packing import Budget, pack, read_blocks, write_blocks
from langneurons.demo.pretraining import train_tokenizer

WORDS = ["river", "Größe", "नदी", "河川", "دریا", "ಹೊಳೆ", "🙂", "sông", "  ", "\n", "x", "ক্ষ"]
FRACTION, SEED = 0.3, 5


def document(number):
    """A text with multi-byte characters that names its own number."""
    rotated = [WORDS[(number * 5 + i * 7) % len(WORDS)] for i in range(4 + number % 6)]
    return f"<{number}> " + " ".join(rotated) + ("  " if number % 3 == 0 else "")


DOCUMENTS = [(str(i), document(i)) for i in range(120)]


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory):
    """A byte-level BPE with so few merges that most characters beyond Latin are split over tokens."""
    directory = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([t for _, t in DOCUMENTS[:20]], 320, directory)
    return directory / "tokenizer.json"


def packed(
    tokenizer_file, documents=DOCUMENTS, block=16, tokens=10**6, heldout_tokens=10**6, fraction=FRACTION, **names
):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file))
    blocks = pack(documents, tokenizer, block, Budget(tokens, heldout_tokens, fraction, SEED), **names)
    assert all(ids.dtype == np.int32 for split in blocks.values() for ids, _ in split)
    return {split: [(ids.tolist(), size) for ids, size in blocks[split]] for split in blocks}


def alphabet():
    """Byte-level BPE's letter of each byte, by its definition: printable bytes are themselves."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in shown]
    return {**{chr(b): b for b in shown}, **{chr(256 + i): b for i, b in enumerate(rest)}}


def spell(tokenizer, ids):
    """The bytes of token ids from the vocabulary alone; special tokens are dropped."""
    letters = alphabet()
    tokens = [tokenizer.id_to_token(i) for i in ids]
    return bytes(letters[c] for token in tokens if token not in ("<s>", "</s>", "<pad>") for c in token)


def streams(tokenizer_file, documents=DOCUMENTS):
    """Each split's tokens in order, one document after the other, each behind its <s>."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    start = tokenizer.token_to_id("<s>")
    ids = {STATISTICS: [], HELDOUT: []}
    for _, text in documents:
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        assert spell(tokenizer, plain) == text.encode()
        ids[split_of(text, FRACTION, SEED)] += [start, *plain]
    return ids


@pytest.mark.parametrize("block", [8, 16, 50])
def test_blocks_are_the_documents_tokens_in_order(tokenizer_file, block):
    blocks, expected = packed(tokenizer_file, block=block), streams(tokenizer_file)
    for split in (STATISTICS, HELDOUT):
        assert all(len(ids) == block for ids, _ in blocks[split])
        assert len(blocks[split]) == len(expected[split]) // block > 3
        flat = [i for ids, _ in blocks[split] for i in ids]
        assert flat == expected[split][: len(flat)]


def test_heldout_documents_are_never_in_the_statistics(tokenizer_file):
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    blocks = packed(tokenizer_file, block=1)
    text = {split: spell(tokenizer, [i for ids, _ in blocks[split] for i in ids]).decode() for split in blocks}
    sides = [split_of(t, FRACTION, SEED) for _, t in DOCUMENTS]
    assert 20 < sides.count(HELDOUT) < 100
    for (_, document_text), side in zip(DOCUMENTS, sides, strict=True):
        other = STATISTICS if side == HELDOUT else HELDOUT
        assert document_text in text[side]
        assert document_text.split()[0] not in text[other]


def test_the_order_of_the_documents_changes_no_side(tokenizer_file):
    tokenizer = Tokenizer.from_file(str(tokenizer_file))

    def numbers(documents):
        blocks = packed(tokenizer_file, documents, block=1)
        text = spell(tokenizer, [i for ids, _ in blocks[HELDOUT] for i in ids]).decode()
        return set(re.findall(r"<\d+>", text))

    assert len(numbers(DOCUMENTS)) > 20
    assert numbers(DOCUMENTS) == numbers(DOCUMENTS[::-1])


def test_bytes_sum_to_the_text(tokenizer_file):
    blocks = packed(tokenizer_file, block=1)
    for split in (STATISTICS, HELDOUT):
        texts = [t for _, t in DOCUMENTS if split_of(t, FRACTION, SEED) == split]
        assert sum(size for _, size in blocks[split]) == sum(len(t.encode()) for t in texts)


def test_bytes_of_a_block_are_its_texts(tokenizer_file):
    """Where a block ends between characters, the bytes so far are those of the tokens so far."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    whole = 0
    for block in (8, 13):
        spelled, counted = b"", 0
        for ids, size in packed(tokenizer_file, block=block)[STATISTICS]:
            spelled += spell(tokenizer, ids)
            counted += size
            try:
                spelled.decode()
            except UnicodeDecodeError:
                assert 0 < counted - len(spelled) < 4  # a split character counts at its first token
            else:
                assert counted == len(spelled)
                whole += 1
    assert whole > 20


@pytest.mark.parametrize("character", ["é", "ж", "한", "𠀀"])
def test_a_character_split_over_tokens_is_counted_once(tokenizer_file, character):
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    text = "x" + character * 3 + "y"
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    blocks = packed(tokenizer_file, [("a", text)], block=1, heldout_tokens=0, fraction=1e-12)[STATISTICS]
    sizes = [size for _, size in blocks]
    assert [i for (i,), _ in blocks] == [tokenizer.token_to_id("<s>"), *ids]
    assert len(ids) > len(text), "the case must split a character"
    assert sizes[0] == 0
    assert sum(sizes) == len(text.encode()) == 2 + 3 * len(character.encode())
    assert all(size >= 0 for size in sizes)
    assert (sizes[1], sizes[-1]) == (1, 1)


def test_white_space_that_no_token_covers_is_counted(tmp_path):
    """A tokenizer of words: spaces between words go to the next token, those at the end to the last."""
    from tokenizers import models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"ein": 0, "Wort": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    limits = {"heldout_tokens": 0, "fraction": 1e-12, "most_unknown": 1.0}
    blocks = packed(tmp_path / "tokenizer.json", [("a", "ein   Wort ö \n")], 1, **limits)
    assert blocks[STATISTICS] == [([0], 3), ([1], 7), ([2], 5)]


@pytest.fixture
def english(tmp_path):
    """Tokenizers that know two words, of the kinds that have an unknown token; all put <s> before a text."""
    from tokenizers import models, pre_tokenizers, processors

    def write(kind):
        words, letters = ["?", "<s>", "river", "house"], [*"?riveouhs", "<s>"]
        scores = [(word, -1.0 * (word not in "?")) for word in words]
        core = Tokenizer(
            {
                "words": lambda: models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="?"),
                "pieces": lambda: models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="?"),
                "unigram": lambda: models.Unigram(scores, unk_id=0),
                "letters": lambda: models.BPE({w: i for i, w in enumerate(letters)}, [], unk_token="?", fuse_unk=True),
                # The unknown token is what stands before a text too: it is no unknown token there.
                "before": lambda: models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<s>"),
            }[kind]()
        )
        core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        start = core.token_to_id("<s>")
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)])
        core.save(str(tmp_path / f"{kind}.json"))
        return tmp_path / f"{kind}.json"

    return write


@pytest.mark.parametrize("kind", ["words", "pieces", "unigram", "before"])
def test_the_share_of_the_unknown_token_is_reported_and_bounded(english, kind, capsys):
    """<s> and nine words: of ten tokens one is unknown, then two."""
    names = {"heldout_tokens": 0, "fraction": 1e-12, "language": "hi", "model": "tiny"}
    token = "<s>" if kind == "before" else "?"
    known = [("a", "river house " * 4 + "river")]
    packed(english(kind), known, 5, **names)
    assert capsys.readouterr().out == ""
    blocks = packed(english(kind), [("a", "river house " * 4 + "नदी")], 5, **names)
    assert [len(ids) for ids, _ in blocks[STATISTICS]] == [5, 5]
    said = f"of the tokens of hi (statistics split) are the unknown token '{token}' of tiny's tokenizer"
    assert capsys.readouterr().out == f"10 % {said}\n"
    with pytest.raises(ValueError) as error:
        packed(english(kind), [*known, ("b", "नदी घर " * 4 + "नदी")], 5, **names)
    assert str(error.value) == (
        f"45 % {said} (at most 10 % may be); take hi out of corpus.languages, or use a model whose tokenizer knows it"
    )


def test_the_share_is_that_of_each_split(english):
    """Where the held-out documents alone are in another script."""
    texts = [f"river house {'river ' * i}" for i in range(60)]
    heldout = [text for text in (f"नदी {'घर ' * i}" for i in range(60)) if split_of(text, FRACTION, SEED) == HELDOUT]
    documents = [(t, t) for t in [*(t for t in texts if split_of(t, FRACTION, SEED) == STATISTICS), *heldout]]
    with pytest.raises(ValueError, match=r"% of the tokens of the text \(heldout split\) are the unknown token '\?'"):
        packed(english("letters"), documents)
    assert packed(english("letters"), documents, heldout_tokens=0)[HELDOUT] == []


def test_a_tokenizer_of_bytes_has_no_unknown_token(tokenizer_file, capsys):
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    assert tokenizer.model.unk_token is None
    assert packed(tokenizer_file, [("a", "ꙮ𓀀 " * 40)], heldout_tokens=0, fraction=1e-12)[STATISTICS]
    assert capsys.readouterr().out == ""


def test_a_token_that_the_tokenizer_puts_behind_a_document_has_no_bytes(tokenizer_file, tmp_path):
    from tokenizers import processors

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    end = tokenizer.token_to_id("</s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", end)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = ["xy", "ж!", "河"]
    blocks = packed(tmp_path / "tokenizer.json", [(t, t) for t in texts], 1, heldout_tokens=0, fraction=1e-12)
    ends = [i for i, ((token,), _) in enumerate(blocks[STATISTICS]) if token == end]
    assert len(ends) == 3
    assert [blocks[STATISTICS][i][1] for i in ends] == [0, 0, 0]
    sizes = [size for _, size in blocks[STATISTICS]]
    starts = [0, *(i + 1 for i in ends[:-1])]
    assert [sum(sizes[a : b + 1]) for a, b in zip(starts, ends, strict=True)] == [len(t.encode()) for t in texts]


@pytest.mark.parametrize(("tokens", "blocks"), [(16, 1), (31, 1), (32, 2), (100, 6)])
def test_a_budget_is_kept(tokenizer_file, tokens, blocks):
    result = packed(tokenizer_file, tokens=tokens, heldout_tokens=48)
    assert (len(result[STATISTICS]), len(result[HELDOUT])) == (blocks, 3)
    full = packed(tokenizer_file)
    assert all(result[split] == full[split][: len(result[split])] for split in result)


def test_a_budget_of_0_leaves_a_split_out(tokenizer_file):
    assert packed(tokenizer_file, heldout_tokens=0)[HELDOUT] == []
    assert packed(tokenizer_file, tokens=0)[STATISTICS] == []


def test_reading_stops_when_both_splits_are_full(tokenizer_file):
    read = []

    def endless():
        for number in itertools.count():
            assert number < 2000
            read.append(number)
            yield str(number), document(number)

    result = packed(tokenizer_file, endless(), tokens=64, heldout_tokens=64)
    assert len(result[STATISTICS]) == len(result[HELDOUT]) == 4
    assert len(read) < 60


def test_a_split_shorter_than_a_block_is_an_error(tokenizer_file):
    with pytest.raises(ValueError, match=r"statistics split is shorter than one block of 5000 tokens.*corpus\.block"):
        packed(tokenizer_file, block=5000)
    few = [d for d in DOCUMENTS if split_of(d[1], FRACTION, SEED) == STATISTICS]
    with pytest.raises(ValueError, match=r"heldout split is shorter.*raise corpus\.heldout_fraction"):
        packed(tokenizer_file, few)
    with pytest.raises(ValueError, match="statistics split is shorter"):
        packed(tokenizer_file, tokens=15)


def test_truncation_and_padding_left_in_the_tokenizer_are_not_applied(tokenizer_file, tmp_path):
    settings = json.loads(tokenizer_file.read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len(Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("river river x y z").ids) == 64
    assert packed(tmp_path / "tokenizer.json") == packed(tokenizer_file)


def test_blocks_are_read_as_written(tokenizer_file, tmp_path):
    blocks = packed(tokenizer_file)
    path = tmp_path / "0000.parquet"
    write_blocks(path, blocks)
    for split in (STATISTICS, HELDOUT):
        ids, sizes = read_blocks(path, split)
        assert (ids.dtype, sizes.dtype) == (np.int32, np.int64)
        assert ids.tolist() == [i for i, _ in blocks[split]]
        assert sizes.tolist() == [size for _, size in blocks[split]]
    write_blocks(tmp_path / "again.parquet", packed(tokenizer_file))
    assert path.read_bytes() == (tmp_path / "again.parquet").read_bytes()


def test_a_split_without_blocks_is_read_as_empty(tokenizer_file, tmp_path):
    write_blocks(tmp_path / "0000.parquet", packed(tokenizer_file, heldout_tokens=0))
    ids, sizes = read_blocks(tmp_path / "0000.parquet", HELDOUT)
    assert (ids.shape, sizes.shape) == ((0, 0), (0,))


def test_blocks_of_different_length_are_refused(tmp_path):
    write_blocks(tmp_path / "x.parquet", {STATISTICS: [([1, 2], 2), ([3], 1)]})
    with pytest.raises(ValueError, match=r"x\.parquet: its blocks differ in length"):
        read_blocks(tmp_path / "x.parquet", STATISTICS)


def test_no_documents_and_no_budget_are_no_blocks(tokenizer_file, tmp_path):
    """An empty shard."""
    blocks = packed(tokenizer_file, [], tokens=0, heldout_tokens=0)
    write_blocks(tmp_path / "empty.parquet", blocks)
    for split in (STATISTICS, HELDOUT):
        ids, sizes = read_blocks(tmp_path / "empty.parquet", split)
        assert (ids.shape, sizes.shape) == ((0, 0), (0,))
