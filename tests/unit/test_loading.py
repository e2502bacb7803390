"""Loading snapshots: what is refused, what 4 bits change, which model a digest names."""

import hashlib
import json
import re
import shutil

import pytest
import torch

from langneurons.artifacts import directories
from langneurons.artifacts.facts import ArtifactError
from langneurons.demo.pretraining import build_model, train_tokenizer
from langneurons.models.loading import (
    check_snapshot,
    load_base,
    load_shape,
    load_tokenizer,
    snapshot_digest,
    tokenizer_digest,
)
from langneurons.models.quantized import write_quantized
from langneurons.models.sources import import_snapshot

SETTINGS = {
    "architecture": "llama",
    "layers": 2,
    "hidden": 64,
    "neurons": 128,
    "heads": 2,
    "key_value_heads": 1,
    "head_dim": 32,
    "vocabulary": 300,
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snapshot")
    train_tokenizer(["Anna lives in Paris. " * 9], 300, folder)
    build_model(SETTINGS, seed=3).save_pretrained(str(folder))
    return folder


def copy_of(snapshot, target, **config):
    """A copy as a person has it, without a seal."""
    shutil.copytree(snapshot, target)
    if config:
        path = target / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return target


def test_weights_and_logits_are_the_snapshot_s(snapshot):
    model = load_base(snapshot)
    original = build_model(SETTINGS, seed=3).eval()
    ids = torch.arange(20).reshape(2, 10)
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, original(input_ids=ids).logits)
    assert not model.training


def test_a_shape_is_the_model_without_weights(snapshot):
    shape, model = load_shape(snapshot), load_base(snapshot)
    assert {p.device.type for p in shape.parameters()} == {"meta"}
    assert {n: p.shape for n, p in shape.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}


def test_a_classifier_has_its_head_and_the_same_decoder(snapshot):
    model, causal = load_base(snapshot, "classification"), load_base(snapshot)
    assert model.score.weight.shape == (3, 64)
    assert torch.equal(model.model.layers[1].mlp.gate_proj.weight, causal.model.layers[1].mlp.gate_proj.weight)
    again = load_base(snapshot, "classification")
    assert torch.equal(model.score.weight, again.score.weight)  # drawn, and the same each time


def test_nf4_quantises_the_decoder_and_keeps_it_near(snapshot):
    import bitsandbytes as bnb

    model, exact = load_base(snapshot, quantization="nf4"), load_base(snapshot)
    quantised = [name for name, module in model.named_modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert len(quantised) == 2 * 7
    assert all(not m.support_avx512bf16_for_cpu for m in model.modules() if isinstance(m, bnb.nn.Linear4bit))
    ids = torch.arange(20).reshape(2, 10)
    with torch.no_grad():
        one, two = model(input_ids=ids).logits, exact(input_ids=ids).logits
    assert 0 < (one - two).norm() / two.norm() < 0.5
    assert snapshot_digest(snapshot)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "translation"}, "unknown task 'translation'; write causal or classification"),
        ({"quantization": "int3"}, "unknown quantization 'int3'; write none or nf4"),
        ({"dtype": "float8"}, "unknown dtype 'float8'; write one of float32, bfloat16"),
    ],
)
def test_an_unknown_option_is_refused(snapshot, options, message):
    with pytest.raises(ValueError, match=message):
        load_base(snapshot, **options)


def test_a_snapshot_that_lacks_a_file_is_refused(snapshot, tmp_path):
    with pytest.raises(ValueError, match="no such directory"):
        check_snapshot(tmp_path / "none")
    copy = copy_of(snapshot, tmp_path / "copy")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"the snapshot lacks tokenizer\.json"):
        check_snapshot(copy)
    other = copy_of(snapshot, tmp_path / "other")
    for file in other.glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    with pytest.raises(ValueError, match=r"no \*\.safetensors"):
        check_snapshot(other)


def test_a_digest_names_weights_and_configuration(snapshot, tmp_path):
    assert snapshot_digest(copy_of(snapshot, tmp_path / "same")) == snapshot_digest(snapshot)
    assert snapshot_digest(copy_of(snapshot, tmp_path / "theta", rope_theta=5.0)) != snapshot_digest(snapshot)


def test_a_tokenizer_digest_names_the_tokenizer_alone(snapshot, tmp_path):
    before = tokenizer_digest(snapshot)
    copy = copy_of(snapshot, tmp_path / "copy", rope_theta=5.0)
    assert tokenizer_digest(copy) == before
    for name in ("special_tokens_map.json", "tokenizer_config.json", "tokenizer.json"):
        file = copy / name
        content = file.read_bytes() if file.is_file() else b"{}"
        file.unlink(missing_ok=True)
        file.write_bytes(content + b"\n")
        assert tokenizer_digest(copy) != before
        before = tokenizer_digest(copy)


def test_a_tokenizer_without_a_pad_pads_with_its_end(snapshot, tmp_path):
    assert load_tokenizer(snapshot).pad_token == "<pad>"
    copy = copy_of(snapshot, tmp_path / "copy")
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (copy / "tokenizer_config.json").unlink()
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    assert load_tokenizer(copy).pad_token == "</s>"


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def quantized(request, snapshot, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized") / "tiny"
    write_quantized(snapshot, folder, "nf4", request.param)
    return folder, request.param


@pytest.mark.parametrize("task", ["causal", "classification"])
def test_a_quantised_snapshot_is_quantising_at_load_bit_for_bit(snapshot, quantized, task):
    folder, dtype = quantized
    once, each = load_base(folder, task, "nf4", dtype), load_base(snapshot, task, "nf4", dtype)
    weights, expected = once.state_dict(), each.state_dict()
    assert weights.keys() == expected.keys() and any("quant_state" in name for name in weights)
    for name, tensor in expected.items():
        assert torch.equal(weights[name], tensor) and weights[name].dtype == tensor.dtype, name
    ids = torch.arange(20).reshape(2, 10)
    with torch.no_grad():
        assert torch.equal(once(input_ids=ids).logits, each(input_ids=ids).logits)
    assert not once.training


def test_a_quantised_snapshot_goes_by_its_original(snapshot, quantized, tmp_path):
    folder, dtype = quantized
    assert snapshot_digest(folder) == snapshot_digest(snapshot)
    assert tokenizer_digest(folder) == tokenizer_digest(snapshot)
    assert load_tokenizer(folder).get_vocab() == load_tokenizer(snapshot).get_vocab()
    other = "bfloat16" if dtype == "float32" else "float32"
    for settings in (("nf4", other), ("none", dtype)):
        with pytest.raises(ValueError, match=f"quantised as nf4, {dtype}, not {', '.join(settings)}"):
            load_base(folder, "causal", *settings)
    with pytest.raises(ValueError, match="no quantised weights to write"):
        write_quantized(snapshot, tmp_path / "none", "none", dtype)
    write_quantized(snapshot, tmp_path / "again", "nf4", dtype)
    again = {file.name: file.read_bytes() for file in (tmp_path / "again").iterdir()}
    assert again == {file.name: file.read_bytes() for file in folder.iterdir()}


def digest_by_definition(folder):
    digest = hashlib.sha256()
    for file in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def test_a_snapshots_digest_is_what_it_was(snapshot, tmp_path):
    import_snapshot(snapshot, tmp_path / "imported")
    expected = digest_by_definition(snapshot)
    assert snapshot_digest(snapshot) == snapshot_digest(tmp_path / "imported") == expected


FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "generation_config.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("made", ["imported", "quantised"])
def test_a_flipped_bit_of_a_sealed_snapshot_is_an_error(snapshot, tmp_path, made, name):
    folder = tmp_path / "sealed"
    import_snapshot(snapshot, folder) if made == "imported" else write_quantized(snapshot, folder, "nf4", "float32")
    settings = ("none", "float32") if made == "imported" else ("nf4", "float32")
    load_base(folder, "causal", *settings)
    content = bytearray((folder / name).read_bytes())
    content[-20] ^= 1
    (folder / name).write_bytes(content)
    message = re.escape(f"{folder / name}: is damaged") + ".*delete .* and run snakemake again"
    for use in (snapshot_digest, lambda path: load_base(path, "causal", *settings)):
        with pytest.raises(ArtifactError, match=message):
            use(folder)
    if "tokenizer" in name:
        for use in (load_tokenizer, tokenizer_digest):
            with pytest.raises(ArtifactError, match=message):
                use(folder)


def test_a_swapped_or_additional_file_of_a_sealed_snapshot_is_an_error(snapshot, tmp_path):
    folder = tmp_path / "sealed"
    import_snapshot(snapshot, folder)
    (folder / "model-00002.safetensors").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"model-00002\.safetensors: was not written with the others"):
        load_base(folder)
    (folder / "model-00002.safetensors").unlink()
    (folder / "generation_config.json").unlink()
    with pytest.raises(ArtifactError, match=r"generation_config\.json: is missing"):
        load_base(folder)


def test_a_file_is_hashed_once_in_a_process(snapshot, tmp_path, monkeypatch):
    import_snapshot(snapshot, tmp_path / "sealed")
    whole, hashed = hashlib.file_digest, []
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: hashed.append(file.name) or whole(file, name))
    directories._file_digest.cache_clear()
    load_tokenizer(tmp_path / "sealed")
    assert {name.rpartition("/")[2] for name in hashed} == {"tokenizer.json", "tokenizer_config.json"}  # no weights
    for _ in range(2):
        load_base(tmp_path / "sealed")
        snapshot_digest(tmp_path / "sealed")
        tokenizer_digest(tmp_path / "sealed")
    assert len(hashed) == len(set(hashed)) == len(FILES)
