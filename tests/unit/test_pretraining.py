"""The tiny models: their tokenizer loses nothing, their training is repeatable and learns."""

import pytest
import torch
from tokenizers import Tokenizer

from langneurons.artifacts.directories import is_sealed
from langneurons.corpus.documents import shard_facts, write_documents
from langneurons.demo import world
from langneurons.demo.pretraining import build_model, language_weights, make_model, pretrain, train_tokenizer
from langneurons.models.checks import check_files
from langneurons.models.loading import snapshot_digest

SETTINGS = {
    "architecture": "llama",
    "layers": 1,
    "hidden": 64,
    "neurons": 64,
    "heads": 2,
    "key_value_heads": 1,
    "head_dim": 16,
    "vocabulary": 400,
    "steps": 30,
    "batch": 4,
    "block": 32,
    "learning_rate": 5e-3,
    "shares": {"en": 0.5},
}
LANGUAGES = ("en", "hi", "ta", "ur", "zh")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    paths = [folder / language / "0000.parquet" for language in ("en", "hi")]
    for path in paths:
        language = path.parent.name
        write_documents(path, world.write_documents(language, 1, 0, 40), shard_facts(language, 0))
    return paths


def test_shares_given_and_the_rest_divided_equally():
    assert language_weights(["en", "hi", "ur"], {"en": 0.5}) == [0.5, 0.25, 0.25]
    assert language_weights(["hi", "ur"], {}) == [0.5, 0.5]
    assert sum(language_weights(list("abcdefg"), {"a": 0.3, "b": 0.1})) == pytest.approx(1)


def test_the_tokenizer_gives_every_script_back(tmp_path):
    texts = [world.write_document(language, 1, 0, 0) for language in LANGUAGES]
    train_tokenizer(texts, 600, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in [*texts, "ಕನ್ನಡ ക്ഷ 🙂\tnew"]:  # scripts and signs it never saw, too
        ids = tokenizer.encode(text).ids
        assert tokenizer.id_to_token(ids[0]) == "<s>"
        assert tokenizer.decode(ids) == text


def test_vowel_signs_stay_with_their_letters(tmp_path):
    train_tokenizer(["दिल्ली में रहती है। " * 50], 400, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert len(tokenizer.encode("दिल्ली", add_special_tokens=False).ids) == 1


@pytest.mark.parametrize("architecture", ["llama", "mistral"])
def test_a_model_has_the_shape_asked_for(architecture):
    model = build_model(SETTINGS | {"architecture": architecture, "head_dim": 24}, seed=1)
    layer = model.model.layers[0]
    assert model.config.model_type == architecture
    assert layer.mlp.gate_proj.weight.shape == (64, 64)
    assert layer.self_attn.q_proj.weight.shape == (2 * 24, 64)
    assert layer.self_attn.k_proj.weight.shape == (24, 64)


def test_training_learns():
    documents = {"en": [[1, *range(5, 25), 2]] * 40}
    losses = pretrain(build_model(SETTINGS, seed=3), documents, SETTINGS, seed=3)
    assert len(losses) == SETTINGS["steps"]
    assert losses[0] > 4  # log of the vocabulary is 6
    assert sum(losses[-5:]) / 5 < 1  # a text that repeats is learnt by heart


def test_training_repeats_to_the_byte(corpus, tmp_path):
    torch.set_num_threads(1)
    for name in ("one", "two"):
        make_model(corpus, tmp_path / name, SETTINGS, heldout_fraction=0.2, seed=7)
    for file in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert is_sealed(tmp_path / "one") and snapshot_digest(tmp_path / "one") == snapshot_digest(tmp_path / "two")
    check_files(tmp_path / "one")
    other = tmp_path / "other"
    make_model(corpus, other, SETTINGS, heldout_fraction=0.2, seed=8)
    assert (other / "model.safetensors").read_bytes() != (tmp_path / "one" / "model.safetensors").read_bytes()


def test_a_language_shorter_than_a_block_is_named(corpus, tmp_path):
    with pytest.raises(ValueError, match="the corpus of 'en' has .* tokens; pretraining needs more than 99999"):
        make_model(corpus, tmp_path / "m", SETTINGS | {"block": 99_999}, heldout_fraction=0.2, seed=7)
