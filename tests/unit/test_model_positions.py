"""What of config.json decides which rows a model can take: positions, rotary embeddings, ways of attention."""

import itertools
import json
import shutil

import pytest
import torch
from test_architectures import KINDS, snapshots, tokenizer  # noqa: F401
from test_model_checks import NEEDS, copy, edit, refused  # noqa: F401

from langneurons.models.checks import check_config, check_files, unusable
from langneurons.models.loading import load_base, load_tokenizer

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LISTS = {"short_factor": [1.0] * 16, "long_factor": [1.0 + number for number in range(16)]}
LONG = {"rope_type": "longrope", "original_max_position_embeddings": 32, **LISTS}


def fed(**lengths):
    """The needs of a configuration with these rows: task or corpus -> (tokens, tokens generated after them)."""
    keys = {"corpus": "corpus.block", "xnli": "tasks.xnli.max_tokens", "xquad": "tasks.xquad.max_tokens"}
    return NEEDS | {"lengths": {keys[name]: list(length) for name, length in lengths.items()}}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_longer_than_the_positions(snapshots, kind):  # noqa: F811
    needs = {"classification": False, "targets": {}}
    check_files(snapshots(kind), fed(corpus=(64, 0), xnli=(64, 0), xquad=(48, 16)) | needs)
    if kind == "bloom":  # ALiBi: no number of positions
        check_files(snapshots(kind), fed(corpus=(10_000, 0)) | needs)
        return
    key = {"mpt": "max_seq_len", "gptj": "n_positions"}.get(kind, "max_position_embeddings")
    has = rf"; the model in {snapshots(kind)} has 64 positions \({key} in its config.json\)"
    refused(snapshots(kind), f"^corpus.block is 65{has}: write at most 64, or use", fed(corpus=(65, 0)) | needs)
    refused(snapshots(kind), f"^tasks.xnli.max_tokens is 65{has}: write at most 64", fed(xnli=(65, 0)) | needs)
    message = f"^tasks.xquad.max_tokens is 49, and 16 tokens are generated after it{has}: write at most 48"
    refused(snapshots(kind), message, fed(xquad=(49, 16)) | needs)
    refused(snapshots(kind), f"is 49, and 64 .*{has}: lower tasks.xquad.max_tokens and", fed(xquad=(49, 64)) | needs)


def test_the_line_begins_with_the_key_to_lower(copy):  # noqa: F811
    (line,) = unusable({"own": (str(copy), fed(corpus=(65, 0)))})
    assert line.startswith("corpus.block is 65; the model in")


@pytest.mark.parametrize("value", [0, -1, "x", 1.5, True, {}])
def test_a_number_of_positions_that_is_none(copy, value):  # noqa: F811
    edit(copy / "config.json", max_position_embeddings=value)
    refused(copy, "config.json: max_position_embeddings is .*; write the number of positions", NEEDS)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_a_rotary_embedding_that_changes_with_the_batch(copy, kind):  # noqa: F811
    """The rows that are allowed have the same logits beside any other allowed row, and a longer one changes them."""
    rope = {"rope_type": "dynamic", "factor": 4.0} if kind == "dynamic" else LONG
    edit(copy / "config.json", rope_parameters=rope | {"rope_theta": 10000.0})
    longest = max(n for n in range(1, 64 + 1) if not _refuses(copy, fed(corpus=(n, 0))))
    assert longest == (64 if kind == "dynamic" else 32)
    message = "write at most 64" if kind == "dynamic" else "rope_type longrope, original_max.*: write at most 32"
    refused(copy, f"^corpus.block is .*; the model in .*{message}, or use another", fed(corpus=(longest + 1, 0)))
    model = load_base(copy)
    ids = torch.randint(3, 300, (2, longest + 1), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        alone = model(input_ids=ids[:1, :8]).logits
        allowed = model(input_ids=ids[:, :longest]).logits[:1, :8]
        beyond = model(input_ids=ids).logits[:1, :8]
    assert torch.allclose(alone, allowed, atol=1e-5)
    assert not torch.allclose(alone, beyond, atol=1e-5)


def _refuses(folder, needs):
    try:
        check_config(folder, needs)
    except ValueError:
        return True
    return False


def test_the_length_of_longrope_stands_at_the_top_or_inside(copy):  # noqa: F811
    rope = LONG | {"rope_theta": 1.0}
    edit(copy / "config.json", rope_parameters=rope, original_max_position_embeddings=16)
    refused(copy, r"beyond 16 positions \(rope_type longrope, original_max_position", fed(corpus=(17, 0)))
    check_config(copy, fed(corpus=(16, 0)))
    rope.pop("original_max_position_embeddings")
    edit(copy / "config.json", rope_parameters=rope, original_max_position_embeddings=None)
    refused(copy, "beyond 64 positions", fed(corpus=(65, 0)))
    edit(copy / "config.json", rope_parameters={"full_attention": LONG, "sliding_attention": {"rope_type": "default"}})
    refused(copy, "beyond 32 positions", fed(corpus=(33, 0)))
    edit(copy / "config.json", rope_parameters={"type": "dynamic", "factor": 2}, max_position_embeddings=None)
    refused(copy, "dynamic and there is no max_position_embeddings", fed(corpus=(2, 0)))


@pytest.mark.parametrize(
    ("rope", "message"),
    [
        ({"factor": 8.0}, "has factor 8.0 and no rope_type that uses it"),
        ({"rope_type": "default", "factor": 2}, "has factor 2 and no rope_type that uses it"),
        (
            {"rope_type": "liner", "factor": 2.0},
            "has rope_type 'liner', which is unknown; write one of default, linear",
        ),
        ({"type": "mrope"}, "has rope_type 'mrope'"),
        ({"rope_type": ["linear"]}, "has rope_type .*which is unknown"),
        ({"rope_type": "su", **LISTS}, "has rope_type 'su'"),  # phi3's alone
        ({"rope_type": "linear"}, "factor is None; rope_type linear needs a number of at least 1"),
        ({"type": "linear", "factor": 0.5}, "factor is 0.5; rope_type linear"),
        ({"type": "linear", "factor": "8"}, "factor is '8'; rope_type linear"),
        ({"type": "dynamic", "factor": True}, "factor is True; rope_type dynamic"),
        ({"type": "yarn", "factor": None}, "factor is None; rope_type yarn"),
        (LLAMA3 | {"factor": float("nan")}, "factor is nan; rope_type llama3"),
        (LLAMA3 | {"high_freq_factor": 1.0}, "low_freq_factor is 1.0 and high_freq_factor 1.0"),
        (LONG | {"factor": 0}, "factor is 0; rope_type longrope"),
        (LONG | {"long_factor": None}, "long_factor is no list of numbers above 0"),
        (LONG | {"short_factor": [0.0] * 16}, "short_factor is no list of numbers above 0"),
        (LONG | {"long_factor": [1.0] * 15}, r"differ in length \(16 and 15\)"),
        ({"rope_type": "default", "rope_theta": 0}, "rope_theta is 0; write a number above 0"),
        ({"rope_type": "default", "rope_theta": "10000"}, "rope_theta is '10000'"),
        ({"rope_type": "default", "rope_theta": None}, "rope_theta is None"),
        ({"full_attention": {"factor": 8.0}, "sliding_attention": None}, "full_attention has factor 8.0 and no"),
        ("linear", "rope_(scaling|parameters) is 'linear'; write a dictionary, or null"),
    ],
    ids=str,
)
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_rotary_embeddings_that_are_nonsense(copy, key, rope, message):  # noqa: F811
    edit(copy / "config.json", **{"rope_parameters": None, key: rope})
    assert f"config.json: {key}" in refused(copy, message)


def test_a_base_of_rotary_embeddings_that_is_nonsense(copy):  # noqa: F811
    edit(copy / "config.json", rope_theta=-1.0)
    refused(copy, "config.json: rope_theta is -1.0; write a number above 0")


LEGAL = {
    "none": {"rope_parameters": None, "rope_scaling": None, "rope_theta": 500000.0},
    "linear": {"rope_scaling": {"type": "linear", "factor": 4}},
    "both spellings": {"rope_scaling": {"type": "yarn", "rope_type": "yarn", "factor": 4.0}},
    "yarn": {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32}},
    "llama3": {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 32}},
    "longrope": {"rope_scaling": LONG},
    "longrope with a factor": {"rope_scaling": LONG | {"factor": 2.0}},
}


@pytest.mark.parametrize("name", LEGAL)
def test_rotary_embeddings_that_are_legal(copy, name):  # noqa: F811
    """Each loads, so each is one that transformers takes."""
    edit(copy / "config.json", **LEGAL[name])
    check_files(copy, fed(corpus=(32, 0)))
    load_base(copy)


@pytest.mark.parametrize("kind", ["su", "yarn", "longrope"])
def test_phi3_has_old_names_of_longrope(snapshots, tmp_path, kind):  # noqa: F811
    shutil.copytree(snapshots("phi3"), tmp_path / "copy")
    rope = {"type": kind, **LISTS}
    if kind == "su":
        edit(tmp_path / "copy/config.json", rope_parameters=None, rope_scaling=rope)
        refused(tmp_path / "copy", "rope_scaling has rope_type 'su', the old name of longrope; write longrope")
        rope["original_max_position_embeddings"] = 48
    changes = {"rope_parameters": None, "rope_scaling": rope}
    edit(tmp_path / "copy/config.json", **changes, original_max_position_embeddings=48)
    needs = {"targets": {}}
    check_files(tmp_path / "copy", fed(corpus=(48, 0)) | needs)
    refused(tmp_path / "copy", "beyond 48 positions .rope_type longrope", fed(corpus=(49, 0)) | needs)
    load_base(tmp_path / "copy")


@pytest.mark.parametrize("kind", ["gemma3_text", "olmo3"])
def test_a_dictionary_for_each_type_of_layer(snapshots, tmp_path, kind):  # noqa: F811
    shutil.copytree(snapshots(kind), tmp_path / "copy")
    parameters = json.loads((tmp_path / "copy/config.json").read_text())["rope_parameters"]
    assert set(parameters) == {"full_attention", "sliding_attention"}
    parameters["full_attention"] |= {"rope_type": "linear", "factor": 8.0}
    edit(tmp_path / "copy/config.json", rope_parameters=parameters)
    check_files(tmp_path / "copy", NEEDS)
    parameters["full_attention"]["factor"] = 0
    edit(tmp_path / "copy/config.json", rope_parameters=parameters)
    refused(tmp_path / "copy", "rope_parameters.full_attention: factor is 0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"return_dict": False}, "config.json: return_dict is False, .*; take the key out"),
        ({"attn_implementation": "flash_attention_2"}, "config.json: attn_implementation is 'flash_attention_2'; take"),
        ({"_attn_implementation": "flex_attention"}, "config.json: _attn_implementation is 'flex_attention'; take"),
        ({"sub_config": {"_attn_implementation": "flash_attention_3"}}, "sub_config._attn_implementation is 'flash"),
        ({"sliding_window": 0}, "config.json: sliding_window is 0; write null"),
        ({"sliding_window": -1}, "config.json: sliding_window is -1; write null"),
    ],
    ids=str,
)
def test_ways_of_attention_that_do_not_run(copy, changes, message):  # noqa: F811
    edit(copy / "config.json", **changes)
    refused(copy, message)


@pytest.mark.parametrize(
    "changes", [{"return_dict": True}, {"sliding_window": None}, {"sliding_window": 4096}], ids=str
)
def test_ways_of_attention_that_run(copy, changes):  # noqa: F811
    for key, value in itertools.product(("attn_implementation", "_attn_implementation"), ("eager", "sdpa", None)):
        edit(copy / "config.json", **changes, **{key: value})
        check_files(copy, NEEDS)


def test_a_window_that_is_switched_off(snapshots, tmp_path):  # noqa: F811
    shutil.copytree(snapshots("qwen2"), tmp_path / "copy")
    edit(tmp_path / "copy/config.json", sliding_window=0)
    check_files(tmp_path / "copy", NEEDS)
    edit(tmp_path / "copy/config.json", use_sliding_window=True)
    refused(tmp_path / "copy", "sliding_window is 0")


END = {"content": "</s>", "__type": "AddedToken"}


@pytest.mark.parametrize("settings", [{}, {"eos_token": None}, {"eos_token": "</s>"}, {"eos_token": END}], ids=str)
@pytest.mark.parametrize("special", [None, {}, {"eos_token": None}, {"eos_token": "</s>"}, {"eos_token": END}], ids=str)
@pytest.mark.parametrize("listed", [False, True])
def test_an_end_of_text_token_is_asked_for_as_loading_does(copy, settings, special, listed):  # noqa: F811
    file = copy / "tokenizer_config.json"
    content = {key: value for key, value in json.loads(file.read_text()).items() if key != "eos_token"}
    content |= {"added_tokens_decoder": {"2": {"content": "</s>", "special": True}}} if listed else {}
    file.write_text(json.dumps(content | settings))
    if special is not None:
        (copy / "special_tokens_map.json").write_text(json.dumps(special))
    try:
        load_tokenizer(copy)
    except ValueError:
        refused(copy, rf"{copy}/(tokenizer_config|special_tokens_map).json: the tokenizer has no end-of-text token")
    else:
        check_files(copy)
