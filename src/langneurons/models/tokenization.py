"""How text becomes tokens: one way for the corpus and for the tasks.

What a document, a premise or a question says is *text*: where it spells a special token (``<s>`` on a page about HTML)
it gets the tokens of these characters, never the special token's id. Special tokens come from three places alone: the
tokenizer itself puts them around a text, a prompt template of the configuration holds them, or a task puts them in.
Tokens that are not special stay what the tokenizer makes of them, whether ``tokenizer.json`` or only
``tokenizer_config.json`` has them.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

# Marks a template's own special tokens, and an unknown character: Unicode keeps these for no character ever.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_SPECIAL_LOOK = re.compile(r"<\|[^<>|\s]+\|>")  # what nobody writes for its characters


class Tokens(NamedTuple):
    """Token ids of a text, and the characters of the text, (start, end), that each stands for."""

    ids: list[int]
    offsets: list[tuple[int, int]]


def read_tokenizer(folder: str | os.PathLike) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a directory with ``tokenizer.json`` and ``tokenizer_config.json``."""
    from transformers import PreTrainedTokenizerFast

    # The fast tokenizer reads tokenizer.json whatever the architecture: no code of the snapshot runs.
    return PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


class TextEncoder:
    """Tokens of texts by one fast tokenizer, special tokens spelt out in them read as plain text.

    ``before`` and ``after`` are the special tokens that the tokenizer itself puts around a text (BOS): ``encode``
    leaves them out. ValueError if these change the text between them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._name = tokenizer.name_or_path
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        self._meant: dict[int, int] = {}
        added = self._backend.get_added_tokens_decoder()
        self._special = {number: token for number, token in added.items() if token.special}
        self.before, self.after = self._surrounding()

    def encode(self, text: str) -> Tokens:
        """Token ids of a text alone, and the characters that each stands for."""
        tokens = self._raw(text)
        if not self._special.keys().isdisjoint(tokens.ids):
            tokens = self._spelt(tokens)
        if self._meant:
            tokens = Tokens([self._meant.get(number, number) for number in tokens.ids], tokens.offsets)
        return tokens

    def whole(self, text: str) -> Tokens:
        """As :meth:`encode`, with what the tokenizer puts around a text; these tokens stand for no characters."""
        ids, offsets = self.encode(text)
        before, after = ([(0, 0)] * len(around) for around in (self.before, self.after))
        return Tokens(self.before + ids + self.after, before + offsets + after)

    def with_special(self, names: Iterable[str]) -> TextEncoder:
        """An encoder that reads :meth:`mark` of these special tokens as the special tokens themselves."""
        from tokenizers import AddedToken

        numbers = {token.content: number for number, token in self._special.items()}
        found = copy.copy(self)
        found._backend = copy.deepcopy(self._backend)
        found._meant = {}
        for name in sorted(set(names)):
            token = self._special[numbers[name]]
            sides = {"lstrip": token.lstrip, "rstrip": token.rstrip, "single_word": token.single_word}
            # Not special itself: so it is read while the special tokens are not.
            found._backend.add_tokens([AddedToken(self.mark(name), normalized=False, special=False, **sides)])
            found._meant[found._backend.token_to_id(self.mark(name))] = numbers[name]  # type: ignore[index]  # just added
        return found

    @property
    def unknown(self) -> int | None:
        """Id of the token for what the vocabulary does not have; None where there is none (bytes, as a rule)."""
        model = json.loads(self._backend.to_str())["model"]
        name = model.get("unk_token")  # not the tokenizer's own unk_token, which may be BOS and EOS too (GPT-2)
        return model.get("unk_id") if name is None else self._backend.token_to_id(name)

    @property
    def special_names(self) -> list[str]:
        """The spellings of all special tokens, longer ones first."""
        return sorted((token.content for token in self._special.values()), key=lambda name: (-len(name), name))

    @staticmethod
    def mark(name: str) -> str:
        """The spelling of a special token that is meant, for an encoder of :meth:`with_special`."""
        return f"{_OPEN}{name}{_CLOSE}"

    def _raw(self, text: str, add_special_tokens: bool = False) -> Tokens:
        # Other callers of the same tokenizer, and a snapshot's file, may have left other settings.
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        encoding = self._backend.encode(text, add_special_tokens=add_special_tokens)
        return Tokens(encoding.ids, encoding.offsets)

    def _spelt(self, tokens: Tokens) -> Tokens:
        """Tokens with those that the model's own vocabulary took for special ones replaced by their characters'.

        The vocabulary of Unigram and of whole words lists special tokens among its pieces, which
        ``encode_special_tokens`` does not concern.
        """
        model = self._backend.model
        unknown = {token.id for token in model.tokenize(_OPEN)}
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for number, (start, end) in zip(*tokens, strict=True):
            if number not in self._special or number in unknown:
                ids.append(number)
                offsets.append((start, end))
                continue
            content = self._special[number].content
            for i, character in enumerate(content):
                pieces = model.tokenize(character)
                if not pieces:
                    raise ValueError(
                        f"{self._name}: has no token for '{character}' of '{content}', which a text spells"
                    )
                here = (min(start + i, end), min(start + i + 1, end) if i + 1 < len(content) else end)
                ids += [piece.id for piece in pieces]
                offsets += [here] * len(pieces)
        return Tokens(ids, offsets)

    def _surrounding(self) -> tuple[list[int], list[int]]:
        alone, whole = self._raw("a").ids, self._raw("a", add_special_tokens=True).ids
        for start in range(len(whole) - len(alone) + 1):
            if whole[start : start + len(alone)] == alone:
                return whole[:start], whole[start + len(alone) :]
        raise ValueError(f"{self._name}: special tokens change the text between them; use another tokenizer")


class Template:
    """A text with fields in braces; its own special tokens are meant, those that the fields' values spell are text.

    The filled template is tokenised as one text, exactly as the tokenizer would with its special tokens read: a
    template without special tokens gives the ids of the filled text. ``key`` is the configuration's, for errors.
    ``not_special``: what looks like a special token (``<|im_start|>``) and is none of this tokenizer's, hence text.
    ValueError if a field is missing.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str, fields: Iterable[str], key: str) -> None:
        self._fields = tuple(fields)
        self._field = re.compile(r"\{(" + "|".join(map(re.escape, self._fields)) + r")\}")
        if set(self._field.findall(template)) != set(self._fields):
            needed = " and ".join(f"{{{name}}}" for name in self._fields)
            raise ValueError(f"{key} is {template!r}; it must hold {needed}")
        encoder = TextEncoder(tokenizer)
        names = [name for name in encoder.special_names if name in template]
        special = re.compile("|".join(map(re.escape, names)))
        self.text = special.sub(lambda match: encoder.mark(match[0]), template) if names else template
        self._encoder = encoder.with_special(names) if names else encoder
        known = tokenizer.added_tokens_encoder
        self.not_special = sorted({name for name in _SPECIAL_LOOK.findall(template) if name not in known})
        self.before, self.after = encoder.before, encoder.after

    @property
    def open_ended(self) -> bool:
        """Whether what follows needs a space: the template ends neither in white space nor in a special token."""
        return not (self.text[-1:].isspace() or self.text.endswith(_CLOSE))

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with its fields filled, in one pass: braces within values stay as they are.

        ValueError as :meth:`plain`.
        """
        known = {name: self.plain(value) for name, value in values.items()}
        return self._field.sub(lambda match: known[match[1]], self.text)

    @staticmethod
    def plain(value: str) -> str:
        """A value, to be put into or behind the text; ValueError if it holds U+FDD0 or U+FDD1, which mark here."""
        if _OPEN in value or _CLOSE in value:
            place = min(i for i in map(value.find, (_OPEN, _CLOSE)) if i >= 0)
            raise ValueError(
                f"holds U+FDD0 or U+FDD1, which are no characters, at {place} "
                f"({value[max(0, place - 20) : place + 20]!r}); take them out of the text"
            )
        return value

    def encode(self, filled: str) -> list[int]:
        """Token ids of what :meth:`fill` gave, and of what was put behind it; a beginning that the tokenizer puts
        before each text is left out."""
        return self._encoder.encode(filled).ids

    def begin(self, ids: list[int]) -> list[int]:
        """Ids behind what the tokenizer puts before a text (BOS), unless the template begins with that itself."""
        return ids if self.before and ids[: len(self.before)] == self.before else self.before + ids
