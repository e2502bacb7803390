"""What is refused at import and download, from config.json, the tokenizer's files and the headers alone."""

import json
import os
import random
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_architectures import KINDS, snapshots, tokenizer  # noqa: F401

from langneurons.models.architectures import ARCHITECTURES
from langneurons.models.checks import check_config, check_files, needs_of, unusable
from langneurons.models.loading import load_base, load_tokenizer
from langneurons.models.sources import import_snapshot, snapshot_sources

NEEDS = {
    "key": "own",
    "architecture": None,
    "quantization": "none",
    "dtype": "float32",
    "classification": True,
    "lengths": {"corpus.block": [64, 0]},
    "attention_targets": None,
    "targets": {"xnli": ["gate_proj"]},
}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 123\n"


@pytest.fixture
def copy(snapshots, tmp_path):  # noqa: F811
    """A snapshot as a person has it, without a seal."""
    shutil.copytree(snapshots("llama"), tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def sharded(copy):
    """The snapshot in three files with an index."""
    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    names, index = sorted(weights), {}
    for number in range(3):
        file = f"model-{number + 1:05d}-of-00003.safetensors"
        held = names[number::3]
        save_file({name: weights[name] for name in held}, copy / file)
        index |= {name: file for name in held}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    check_files(copy, NEEDS)
    return copy


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refused(folder, message, needs=None):
    with pytest.raises(ValueError, match=message) as error:
        check_files(folder, needs)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_passes(snapshots, kind):  # noqa: F811
    entry = ARCHITECTURES[kind]
    needs = NEEDS | {"classification": entry.classifier}
    if entry.structure != "gated":
        needs["targets"] = {"xnli": ["down_proj"]}
    check_files(snapshots(kind), needs)
    if entry.structure != "gated":
        refused(snapshots(kind), f"finetuning.xnli.targets: .*{entry.structure}.*write .down_proj.", NEEDS)
    if not entry.classifier:
        refused(snapshots(kind), "transformers has no classification model", NEEDS)
    missing = needs | {"attention_targets": ["q_proj", "w_proj"]}
    refused(snapshots(kind), "models.own.attention_targets: .*layer 0.* has no [qw]_proj; write some of", missing)


def test_the_checks_import_no_torch():
    code = (
        "import sys; from langneurons.models.checks import check_files; from langneurons.models import sources; "
        "print(sorted({'torch', 'numpy', 'transformers', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True)
    assert done.stdout.decode().strip() == "[]"


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model-00002-of-00003.safetensors"]
)
def test_a_pointer_of_git_lfs_is_refused(sharded, name):
    (sharded / name).write_text(POINTER)
    refused(sharded, rf"copy/{name}: is a Git LFS pointer.*git lfs pull")


def test_a_shard_that_is_missing_or_not_whole(sharded):
    shard = sharded / "model-00002-of-00003.safetensors"
    content = shard.read_bytes()
    for size in (0, 5, 100, len(content) // 2, len(content) - 1):
        shard.write_bytes(content[:size])
        refused(sharded, "model-00002-of-00003.safetensors: ")
    shard.write_bytes(content + b"\0")
    refused(sharded, "model-00002.* is longer than it should be")
    shard.write_bytes(b"\xff" * 8 + content[8:])
    refused(sharded, "model-00002.* is no whole safetensors file")
    shard.unlink()
    refused(sharded, r"model-00002-of-00003.safetensors: is missing; .* names it \(1 of its 3 files are missing\)")


def test_tensors_and_index_differ(sharded):
    index = sharded / "model.safetensors.index.json"
    weights = json.loads(index.read_text())["weight_map"]
    file = weights["model.norm.weight"]
    edit(index, weight_map=weights | {"model.layers.7.mlp.up_proj.weight": file})
    refused(sharded, "does not hold model.layers.7.mlp.up_proj.weight, which")
    edit(index, weight_map={name: weights[name] for name in weights if name != "model.norm.weight"})
    refused(sharded, "holds model.norm.weight, which model.safetensors.index.json does not list")
    edit(index, weight_map={**weights, "model.norm.weight": "../elsewhere.safetensors"})
    refused(sharded, "names ../elsewhere.safetensors, a file outside")
    index.unlink()
    refused(sharded, "neither model.safetensors nor model.safetensors.index.json")


def test_two_shards_with_one_tensor(sharded):
    first, second = (sharded / f"model-0000{n}-of-00003.safetensors" for n in (1, 2))
    held = load_file(first)
    name = sorted(held)[0]
    save_file(load_file(second) | {name: held[name]}, second)
    refused(sharded, f"model-00002.* holds {name}, which model-00001-of-00003.safetensors holds too")


def test_layers_that_config_json_does_not_have(copy):
    edit(copy / "config.json", num_hidden_layers=1)
    refused(copy, "config.json says 1 layers, and the weights hold layer 1")
    edit(copy / "config.json", num_hidden_layers=3)
    refused(copy, "config.json says 3 layers, and the weights lack layer 2")


@pytest.mark.parametrize("prefix", ["transformer.", "module.", "_orig_mod.", "base_model.model."])
def test_a_prefix_before_all_names(copy, prefix):
    weights = load_file(copy / "model.safetensors")
    save_file({prefix + name: weights[name] for name in weights}, copy / "model.safetensors")
    refused(copy, f"begin with '{prefix}'.*stripped")


def test_weights_that_are_no_floating_point_numbers(copy):
    weights = load_file(copy / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"] = weights["model.layers.0.mlp.up_proj.weight"].to(torch.int8)
    save_file(weights, copy / "model.safetensors")
    refused(copy, "model.layers.0.mlp.up_proj.weight has data type I8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mixtral", "num_local_experts": 8}, "'mixtral' is a mixture of experts .num_local_experts = 8"),
        (
            {"model_type": "other", "auto_map": {"AutoConfig": "x.y"}},
            r"'other' is not a known.*\(auto_map\) is never run",
        ),
        ({"model_type": None}, "names no model_type"),
        ({"head_dim": 33}, "head_dim is 33; rotary"),
        ({"head_dim": None, "hidden_size": 66}, "head_dim is 33; rotary"),
        ({"head_dim": None, "hidden_size": 65}, "hidden_size 65 is no multiple of num_attention_heads 2"),
        ({"intermediate_size": 130}, "by intermediate_size in config.json model.layers.0.mlp.gate_proj.weight has 130"),
        ({"hidden_size": 128}, "by hidden_size in config.json model.layers.0.mlp.gate_proj.weight has 128"),
        ({"vocab_size": 400}, "vocab_size is 400 and the embedding has 320 rows"),
        ({"eos_token_id": [2, 320]}, "config.json: eos_token_id has id 320, outside the embedding .rows 0 to 319"),
        ({"bos_token_id": -1}, "bos_token_id has id -1"),
        ({"pad_token_id": 999}, "pad_token_id has id 999"),
    ],
    ids=str,
)
def test_config_json(copy, changes, message):
    edit(copy / "config.json", **changes)
    refused(copy, message)


def test_a_pad_token_that_is_none_in_an_old_spelling_is_allowed(copy):
    edit(copy / "config.json", pad_token_id=-1)
    check_files(copy)


def test_token_ids_lie_inside_the_embedding(copy):
    file = copy / "tokenizer.json"
    content = json.loads(file.read_text())
    token = {**content["added_tokens"][0], "content": "<more>", "id": 320}
    edit(file, added_tokens=[*content["added_tokens"], token])
    refused(copy, "tokenizer.json: '<more>' has id 320, outside the embedding")
    vocabulary = {**content["model"]["vocab"], "tail": 5000}
    edit(file, added_tokens=content["added_tokens"], model=content["model"] | {"vocab": vocabulary})
    refused(copy, "tokenizer.json: 'tail' has id 5000")
    pieces = [[f"piece{i}", 0.0] for i in range(330)]
    edit(file, model={"type": "Unigram", "unk_id": 0, "vocab": pieces})
    refused(copy, "'piece329' has id 329")
    edit(file, model={"type": "BPE"})
    refused(copy, "tokenizer.json: is no tokenizer .Missing vocab")
    file.write_text("{")
    refused(copy, "tokenizer.json: is no JSON")


def test_a_token_that_gemma_3_has_no_row_for(snapshots, tmp_path):  # noqa: F811
    shutil.copytree(snapshots("gemma3_text"), tmp_path / "copy")
    content = json.loads((tmp_path / "copy/tokenizer.json").read_text())
    token = {**content["added_tokens"][0], "content": "<image_soft_token>", "id": 320}
    edit(tmp_path / "copy/tokenizer.json", added_tokens=[*content["added_tokens"], token])
    check_files(tmp_path / "copy")


def test_special_tokens_that_loading_would_append(copy):
    """A token that the vocabulary lacks gets the id after the last, which here has a row first, and then has none."""
    settings, content = copy / "tokenizer_config.json", json.loads((copy / "tokenizer.json").read_text())
    edit(settings, pad_token="[PAD]")
    check_files(copy)
    vocabulary = content["model"]["vocab"] | {f"filler{i}": i for i in range(len(content["model"]["vocab"]), 320)}
    edit(copy / "tokenizer.json", model=content["model"] | {"vocab": vocabulary})
    refused(copy, r"tokenizer_config.json: '\[PAD\]' has id 320, outside")
    edit(settings, pad_token="</s>", added_tokens_decoder={"320": {"content": "<pad2>"}})
    refused(copy, "'<pad2>' has id 320")


def test_a_tokenizer_that_the_library_does_not_read(copy):
    edit(copy / "tokenizer.json", normalizer={"type": "of my own"})
    refused(copy, "tokenizer.json: is no tokenizer .*; get the file again")
    with pytest.raises(ValueError, match="transformers cannot load it") as error:
        load_tokenizer(copy)
    assert "\n" not in str(error.value)


def test_a_special_token_is_text(copy):
    edit(copy / "tokenizer_config.json", eos_token=["</s>"])
    refused(copy, r"tokenizer_config.json: a special token is \['</s>'\]; write its text")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read(copy):
    (copy / "model.safetensors").chmod(0)
    refused(copy, "model.safetensors: cannot be read .Permission denied")


def test_a_value_that_transformers_refuses_is_told_in_one_line(copy):
    edit(copy / "config.json", max_position_embeddings={})
    with pytest.raises(ValueError, match="transformers cannot load it .*max_position_embeddings") as error:
        load_base(copy)
    assert "\n" not in str(error.value)


def test_damage_never_ends_in_a_traceback(copy):
    """Bits flipped, ends cut off and values changed, with a fixed seed: refused in one line, or passed."""
    draw, refusals = random.Random(11), 0
    whole = {file.name: file.read_bytes() for file in copy.iterdir() if file.name != "langneurons.json"}
    for _ in range(400):
        name = draw.choice(sorted(whole))
        content = bytearray(whole[name])
        if draw.random() < 0.3:
            content = content[: draw.randrange(len(content))]
        elif name.endswith(".json") and draw.random() < 0.6:
            values = json.loads(content)
            values[draw.choice(sorted(values))] = draw.choice([None, -1, 10**12, "x", [], {}, True, 1.5, [None]])
            content = json.dumps(values).encode()
        else:
            content[draw.randrange(min(len(content), 4000))] ^= 1 << draw.randrange(8)
        (copy / name).write_bytes(content)
        try:
            check_files(copy, NEEDS)
        except ValueError as error:
            assert "\n" not in str(error)
            refusals += 1
        (copy / name).write_bytes(whole[name])
    assert refusals > 100


def test_weights_quantised_in_another_way(copy):
    edit(copy / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    refused(copy, "already quantised .by gptq", NEEDS)


def test_an_import_shares_nothing_with_the_original(snapshots, tmp_path):  # noqa: F811
    """A file changed in place in the person's directory changed the imported one, too."""
    import_snapshot(snapshots("llama"), tmp_path / "own")
    import_snapshot(tmp_path / "own", tmp_path / "imported")
    before = {file.name: file.read_bytes() for file in (tmp_path / "imported").iterdir()}
    for file in (tmp_path / "own").iterdir():
        assert file.stat().st_nlink == 1
        with file.open("r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            stream.write(b"~")
    assert {file.name: file.read_bytes() for file in (tmp_path / "imported").iterdir()} == before


def test_an_import_that_is_refused_leaves_what_was_there(snapshots, copy, tmp_path):  # noqa: F811
    import_snapshot(snapshots("llama"), tmp_path / "target")
    before = sorted(os.listdir(tmp_path / "target"))
    edit(copy / "config.json", model_type="mixtral")
    with pytest.raises(ValueError, match="mixtral"):
        import_snapshot(copy, tmp_path / "target")
    assert sorted(os.listdir(tmp_path / "target")) == before
    assert sorted(os.listdir(tmp_path)) == ["copy", "target"]


def test_the_files_of_an_import(copy, tmp_path):
    (copy / "pytorch_model.bin").write_bytes(b"")
    (copy / "README.md").write_text("# It\n")
    assert {os.path.basename(file) for file in snapshot_sources(copy)} == {
        *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    }
    assert snapshot_sources(tmp_path / "none") == [str(tmp_path / "none")]


def test_needs_are_the_configurations(demo_settings):
    key = demo_settings.run.models[0]
    finetunings = {(key, "xnli"): ["base", "en@lape-set1"], (key, "xquad"): ["base"], ("other", "xquad"): ["x@y"]}
    needs = needs_of(demo_settings, key, finetunings)
    assert json.loads(json.dumps(needs)) == needs
    block, tasks = demo_settings.corpus.block, demo_settings.tasks
    lengths = {
        "corpus.block": [block, 0],
        "tasks.xnli.max_tokens": [tasks["xnli"].max_tokens, 0],
        "tasks.xquad.max_tokens": [tasks["xquad"].max_tokens, tasks["xquad"].max_new_tokens],
    }
    assert needs == NEEDS | {"key": key, "lengths": lengths}
    assert needs_of(demo_settings, key, {})["attention_targets"] == []
    assert needs_of(demo_settings, key, {})["lengths"] == {"corpus.block": [block, 0]}


@pytest.fixture
def demo_settings():
    import yaml
    from snakemake_calls import ROOT

    from langneurons.config.load import load_config

    def merged(base, over):
        both = base | over
        for name in base.keys() & over.keys():
            if isinstance(base[name], dict) and isinstance(over[name], dict):
                both[name] = merged(base[name], over[name])
        return both

    files = [yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "demo")]
    return load_config(merged(*files))


def test_a_line_for_each_model_that_cannot_be_used(copy, tmp_path):
    edit(copy / "config.json", model_type="mixtral")
    lines = unusable({"one": (str(copy), NEEDS), "two": (str(tmp_path / "none"), NEEDS)})
    assert [line.split(": ")[0] for line in lines] == ["models.one", "models.two"]


def test_another_architecture_than_the_configurations_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"model_type is .llama., and models\.own\.architecture is .phi3."):
        check_config(tmp_path, NEEDS | {"architecture": "phi3"})
