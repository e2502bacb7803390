"""Whether the ids of a snapshot's tokenizer, and its special tokens, have a row in the embedding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from langneurons.models.headers import Tensor, read_json

EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight", "embed_in.weight", "wte.weight")
SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")
# Gemma 3's models of text alone list this token and have no row for it; no text is read as it.
WITHOUT_ROW = ("<image_soft_token>",)
IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def embedding_rows(folder: Path, tensors: Mapping[str, Tensor]) -> int:
    """Number of rows of the input embedding; ValueError if the weights hold none."""
    found = [t.shape[0] for n, t in sorted(tensors.items()) if n.endswith(EMBEDDINGS) and "vision" not in n and t.shape]
    found += [t.shape[0] for n, t in tensors.items() if n == "lm_head.weight" and t.shape]  # where the two are tied
    if not found:
        raise ValueError(
            f"{folder}: its weights hold no embedding (a tensor named ...{EMBEDDINGS[0]}); they are not whole: get the "
            "snapshot again"
        )
    return found[0]


def check_token_ids(folder: Path, config: Mapping[str, Any], text: Mapping[str, Any], rows: int) -> None:
    """ValueError, naming file and token, for an id outside the embedding of ``rows`` rows.

    ``config`` is config.json, ``text`` the part of it that is the language model's.
    """
    size = text.get("vocab_size")
    if isinstance(size, int) and size != rows:
        raise ValueError(
            f"{folder / 'config.json'}: vocab_size is {size} and the embedding has {rows} rows; the snapshot's "
            "config.json does not belong to its weights"
        )
    for file, what, number in _ids(folder, config, text):
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < rows:
            if what.strip("'") in WITHOUT_ROW and config.get("model_type") == "gemma3_text":
                continue
            if what == "pad_token_id" and number == -1:  # an old spelling of "none"
                continue
            raise ValueError(
                f"{folder / file}: {what} has id {number!r}, outside the embedding (rows 0 to {rows - 1}); use the "
                "tokenizer that belongs to the weights, or resize the embedding to it"
            )


def _ids(folder: Path, config: Mapping[str, Any], text: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(file, what has the id, id)."""
    known: dict[str, Any] = {}
    tokenizer = read_json(folder / "tokenizer.json")
    check_tokenizer_file(folder / "tokenizer.json")
    try:
        vocabulary = tokenizer["model"]["vocab"]
        if isinstance(vocabulary, dict):
            known |= vocabulary
        else:  # a unigram model's list of tokens and scores
            known |= {token: number for number, (token, *_) in enumerate(vocabulary)}
        added = {each["content"]: each["id"] for each in tokenizer.get("added_tokens") or ()}
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{folder / 'tokenizer.json'}: has no vocabulary of tokens and ids; it is not a fast tokenizer's file"
        ) from None
    highest = max((number for number in known.values() if isinstance(number, int)), default=-1)
    for token, number in known.items():
        if number == highest or not isinstance(number, int) or number < 0:
            yield "tokenizer.json", repr(token), number
    for token, number in added.items():
        yield "tokenizer.json", repr(token), number
    settings = read_json(folder / "tokenizer_config.json")
    decoder = settings.get("added_tokens_decoder")
    decoder = decoder if isinstance(decoder, dict) else {}
    for number, each in decoder.items():
        added[_content(each)] = int(number) if str(number).isdigit() else number
        yield "tokenizer_config.json", repr(_content(each)), added[_content(each)]
    yield from _appended(folder, settings, known | added)
    for file, holder in (("config.json", config), ("config.json", text), ("generation_config.json", None)):
        if holder is None:
            holder = read_json(folder / file) if (folder / file).is_file() else {}
        for key in IDS:
            value = holder.get(key)
            for number in value if isinstance(value, list) else [value]:
                if number is not None:
                    yield file, key, number


def check_end_of_text(folder: Path) -> None:
    """ValueError, naming the tokenizer's file, for a tokenizer without an end-of-text token.

    As loading does, special_tokens_map.json goes first, unless tokenizer_config.json lists its added tokens itself.
    """
    settings, file = read_json(folder / "tokenizer_config.json"), "tokenizer_config.json"
    token, other = settings.get("eos_token"), folder / "special_tokens_map.json"
    if "added_tokens_decoder" not in settings and other.is_file():
        special = read_json(other)
        if "eos_token" in special:
            token, file = special["eos_token"], other.name
    if token is None or not _content(token):
        raise ValueError(
            f"{folder / file}: the tokenizer has no end-of-text token, which ends answers and separates sentences; "
            'write it as eos_token, for example "</s>"'
        )


def check_tokenizer_file(path: Path) -> None:
    """ValueError for a tokenizer.json that the library of tokenizers does not read."""
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower class
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: is no tokenizer ({reason}); get the file again") from None


def _appended(folder: Path, settings: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Special tokens that the vocabulary does not hold: loading gives them the ids after the last."""
    following = max((number for number in known.values() if isinstance(number, int)), default=-1) + 1
    maps = [("tokenizer_config.json", settings)]
    if (folder / "special_tokens_map.json").is_file():
        maps.append(("special_tokens_map.json", read_json(folder / "special_tokens_map.json")))
    seen = set(known)
    for file, holder in maps:
        more = holder.get("additional_special_tokens") or holder.get("extra_special_tokens")
        more = list(more.values()) if isinstance(more, dict) else more if isinstance(more, list) else []
        values = [holder.get(key) for key in SPECIAL] + more
        for value in values:
            if value is not None and not isinstance(value.get("content") if isinstance(value, dict) else value, str):
                raise ValueError(f'{folder / file}: a special token is {value!r}; write its text, as "</s>"')
        for token in (_content(value) for value in values if value is not None):
            if token not in seen:
                seen.add(token)
                yield file, repr(token), following
                following += 1


def _content(token: Any) -> str:
    """A token's spelling, which the files write as text or as a dictionary with settings."""
    return str(token.get("content")) if isinstance(token, Mapping) else str(token)
