"""Small tokenizers of the kinds that models have, made on the spot: what each does to spaces and special tokens."""

from __future__ import annotations

import json
from pathlib import Path

SENTENCE = "the a river stone house tree user assistant answer question context page about is of where what"
WORDS = SENTENCE.split()
TEXTS = [f"{one} {two} {three}." for one in WORDS for two in WORDS[::3] for three in WORDS[1::4]]
SPECIAL = ["<unk>", "<s>", "</s>"]
# Only in tokenizer_config.json: a special token, and one that is none.
CONFIGURED = {"<|im_start|>": True, "<tool>": False}


def byte_level():
    """GPT-2's kind, as Llama 3 and Qwen: bytes, a space belongs to the word behind it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(TEXTS, trainer)
    return core


def llama2():
    """Llama 2's kind: a space is put before every text, spaces are ▁, unknown characters are bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    fallback = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*SPECIAL, *fallback], show_progress=False)
    core.train_from_iterator([*TEXTS, "a s<>/[]|_"], trainer)
    settings = json.loads(core.to_str())
    settings["added_tokens"] = settings["added_tokens"][: len(SPECIAL)]
    core = Tokenizer.from_str(json.dumps(settings))
    core.pre_tokenizer = None
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return core


def metaspace():
    """As newer snapshots of Llama 2 and Mistral have it: the space is put before the first piece alone."""
    from tokenizers import pre_tokenizers

    core = llama2()
    core.normalizer = None
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return core


def unigram():
    """SentencePiece's Unigram, whose pieces include the special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    core.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    core.train_from_iterator([*TEXTS, *["< s > / [ ] | _ im start tool <s> </s>"] * 20], trainer)
    return core


def word_piece():
    """BERT's kind: lower case, words and their continuations."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.WordPiece(unk_token="<unk>"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False)
    core.train_from_iterator([*TEXTS, "< s > / [ ] | _"], trainer)
    return core


def whole_words():
    """Words between white space, among them the special tokens' names."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [*SPECIAL, *WORDS, *"</s>|_"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(dict.fromkeys(words))}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens(SPECIAL)
    return core


KINDS = {make.__name__: make for make in (byte_level, llama2, metaspace, unigram, word_piece, whole_words)}


def write_tokenizer(kind: str, folder: Path) -> Path:
    """Write a tokenizer of ``KINDS`` that puts <s> before each text; ``CONFIGURED`` is in its settings alone."""
    from tokenizers import processors

    core = KINDS[kind]()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", core.token_to_id("<s>"))]
    )
    core.save(str(folder / "tokenizer.json"))
    more = enumerate(CONFIGURED.items(), start=core.get_vocab_size())
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {str(i): {"content": token, "special": special} for i, (token, special) in more},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
